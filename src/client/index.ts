/**
 * `roomcast-client`: the client, for browsers and for programs whose platform has a WebSocket.
 *
 * ```ts
 * import { RoomcastClient } from 'roomcast-client';
 *
 * const client = new RoomcastClient('wss://example.com/ws');
 * const room = client.room<{ text: string }>('chat:lobby', { last: 50 });
 * room.on('message', ({ sender, data }) => console.log(sender, data.text));
 * await room.publish({ text: 'hello' });
 * ```
 */
import { BaseClient } from './client.ts';
import { loadFallback } from './load-fallback.ts';
import { msgpackCodec } from './msgpack-codec.ts';
import type { ClientOptions } from './options.ts';

export * from './public.ts';

export class RoomcastClient extends BaseClient {
  /** `url`: of a node, or of several that are tried in turn. */
  constructor(url: string | readonly string[], options: ClientOptions = {}) {
    super(url, options, { codec: msgpackCodec, loadFallback });
  }
}
