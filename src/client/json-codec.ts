import type { ServerFrame } from '../protocol/frames.ts';
import { SUBPROTOCOL } from '../protocol/subprotocol.ts';
import type { ClientCodec } from './codec.ts';

export const jsonCodec: ClientCodec = {
  subprotocol: SUBPROTOCOL.json,
  // `undefined` has no JSON text; as a payload it is null, as in MessagePack.
  pack: (data) => JSON.stringify(data) ?? 'null',
  unpack: (data) => JSON.parse(data as string),
  encode: (frame) => JSON.stringify(frame),
  encodePublish: (id, room, data, options) =>
    `["publish",${id},${JSON.stringify(room)},${data},${JSON.stringify(options)}]`,
  join: (chunks) => chunks.join('\n'),
  sizeOf: (chunk) => new TextEncoder().encode(chunk as string).length,
  decode: (message) =>
    (message as string)
      .split('\n')
      .filter((line) => line.trim())
      .map(readFrame),
};

/** The fields are the node's business: what is not a node does not send arrays that begin with a string. */
function readFrame(line: string): ServerFrame {
  const frame: unknown = JSON.parse(line);
  if (!Array.isArray(frame) || typeof frame[0] !== 'string') throw new Error('no frame');
  return frame as unknown as ServerFrame;
}
