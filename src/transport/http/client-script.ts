/** `/client.js`: the client as one module for a page, so that `<script type="module">` needs no build and no other host. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Route } from './route.ts';

const FILES = [
  ['/client.js', new URL('../../client.js', import.meta.url)],
  ['/client-json.js', new URL('../../client-json.js', import.meta.url)],
  // What both load where WebSockets cannot be opened.
  ['/client-sse.js', new URL('../../client-sse.js', import.meta.url)],
] as const;

/** Routes of the files that the build made; none where a node runs from its sources. */
export function clientScripts(): Route[] {
  return FILES.flatMap(([path, file]) => {
    const script = readIfThere(file);
    return script === null ? [] : [scriptRoute(path, script)];
  });
}

function scriptRoute(path: string, script: Buffer): Route {
  const etag = `"${createHash('sha256').update(script).digest('base64url').slice(0, 22)}"`;
  const headers = {
    ETag: etag,
    // Asked again each time, and mostly answered with 304: nodes of a rolling update serve different versions.
    'Cache-Control': 'no-cache',
    // Pages of any origin may load it: it holds nothing but the client.
    'Access-Control-Allow-Origin': '*',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'X-Content-Type-Options': 'nosniff',
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
      if (isKnown) exchange.send(304, 'text/javascript; charset=utf-8', '', headers);
      else exchange.send(200, 'text/javascript; charset=utf-8', script, headers);
    },
  };
}

function readIfThere(file: URL): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
