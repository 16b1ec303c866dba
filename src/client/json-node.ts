/** `roomcast-client/json` for Node. */
import { BaseClient } from './client.ts';
import { findWs } from './find-ws.ts';
import { jsonCodec } from './json-codec.ts';
import { loadFallback } from './load-fallback.ts';
import type { ClientOptions } from './options.ts';

export * from './public.ts';

export class RoomcastClient extends BaseClient {
  /** `url`: of a node, or of several that are tried in turn. */
  constructor(url: string | readonly string[], options: ClientOptions = {}) {
    super(url, options, { codec: jsonCodec, findWebSocket: findWs, loadFallback });
  }
}
