import type { BodyFormat } from '../http/media-types.ts';

const [COMMA, LIST, MAP] = [0x2c, 0x5b, 0x7b];

/**
 * About how many values a body has, before it is parsed: each costs the same, however short it is. Of JSON at least as many as
 * there are, and no more than twice the bytes that its values take as MessagePack: a comma or bracket in a text is a byte of it.
 */
export function valuesIn(body: Uint8Array, format: BodyFormat): number {
  if (format === 'msgpack') return body.length >> 1;
  let values = 1;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at];
    if (byte === COMMA || byte === LIST || byte === MAP) values++;
  }
  return values;
}
