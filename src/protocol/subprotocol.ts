/** WebSocket subprotocols: what a client offers, and what a node chooses. */

export type Encoding = 'msgpack' | 'json';
/** What a connection reads: an encoding of WebSocket messages, or Server-Sent Events. */
export type ReaderEncoding = Encoding | 'sse';

export const SUBPROTOCOL = {
  msgpack: 'roomcast.v1.msgpack',
  json: 'roomcast.v1.json',
} as const satisfies Record<Encoding, string>;

export interface ChosenSubprotocol {
  readonly encoding: Encoding;
  /** What the node answers in `Sec-WebSocket-Protocol`; null: it leaves the header out. */
  readonly subprotocol: string | null;
}

/**
 * Chooses by the value of `Sec-WebSocket-Protocol` as the client sent it ('' if it sent none). The first
 * known one in the client's order wins; a client that offers none gets JSON, so that any WebSocket tool can
 * talk to a node. Null: the client offered only unknown ones, and the upgrade is refused with 400.
 */
export function chooseSubprotocol(offered: string): ChosenSubprotocol | null {
  const names = offered.split(',').map((name) => name.trim());
  for (const name of names) {
    if (name === SUBPROTOCOL.msgpack) return { encoding: 'msgpack', subprotocol: name };
    if (name === SUBPROTOCOL.json) return { encoding: 'json', subprotocol: name };
  }
  return names.every((name) => name === '') ? { encoding: 'json', subprotocol: null } : null;
}
