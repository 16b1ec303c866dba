/** `/client.js`: the client as one module for a page, so that `<script type="module">` needs no build and no other host. */
import { readFileSync } from 'node:fs';
import { fileRoute } from './file-route.ts';
import type { Route } from './route.ts';

const FILES = [
  ['/client.js', new URL('../../client.js', import.meta.url)],
  ['/client-json.js', new URL('../../client-json.js', import.meta.url)],
  // What both load where WebSockets cannot be opened.
  ['/client-sse.js', new URL('../../client-sse.js', import.meta.url)],
] as const;

/** Pages of any origin may load it: it holds nothing but the client. */
const headers = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };

/** Routes of the files that the build made; none where a node runs from its sources. */
export function clientScripts(): Route[] {
  return FILES.flatMap(([path, file]) => {
    const body = readIfThere(file);
    return body === null
      ? []
      : [fileRoute({ path, contentType: 'text/javascript; charset=utf-8', body, headers })];
  });
}

function readIfThere(file: URL): Buffer | null {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
