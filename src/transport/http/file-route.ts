/** A file that a node serves to pages, from memory, with an ETag. */
import { createHash } from 'node:crypto';
import type { Route } from './route.ts';

export interface ServedFile {
  readonly path: string;
  readonly contentType: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export function fileRoute({ path, contentType, body, headers: further }: ServedFile): Route {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = {
    ETag: etag,
    // Asked again each time, and mostly answered with 304: nodes of a rolling update serve different versions.
    'Cache-Control': 'no-cache',
    ...further,
  };
  return {
    method: 'get',
    path,
    label: 'page',
    handle(exchange, req) {
      const isKnown = req
        .getHeader('if-none-match')
        .split(',')
        .some((one) => one.trim().replace(/^W\//, '') === etag);
      if (isKnown) exchange.send(304, contentType, '', headers);
      else exchange.send(200, contentType, body, headers);
    },
  };
}
