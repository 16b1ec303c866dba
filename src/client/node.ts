/** `roomcast-client` for Node: before Node 22 there is no global WebSocket, and the package `ws` takes its place. */
import { BaseClient } from './client.ts';
import { findWs } from './find-ws.ts';
import { loadFallback } from './load-fallback.ts';
import { msgpackCodec } from './msgpack-codec.ts';
import type { ClientOptions } from './options.ts';

export * from './public.ts';

export class RoomcastClient extends BaseClient {
  /** `url`: of a node, or of several that are tried in turn. */
  constructor(url: string | readonly string[], options: ClientOptions = {}) {
    super(url, options, { codec: msgpackCodec, findWebSocket: findWs, loadFallback });
  }
}
