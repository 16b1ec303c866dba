import { MAX_DEPTH } from '../protocol/limits.ts';
import { packed, packValue, writeValue } from '../protocol/msgpack/pack.ts';
import { checkServerFrame } from '../protocol/server-frames.ts';
import { SUBPROTOCOL } from '../protocol/subprotocol.ts';
import { concatBytes } from '../util/bytes.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import { unpackAll } from './unpack.ts';

export const msgpackCodec: ClientCodec = {
  subprotocol: SUBPROTOCOL.msgpack,
  pack: (data) => packValue(data) as Chunk,
  unpack: (data) => unpackAll(data as Uint8Array)[0],
  encode: (frame) => packed((writer) => writeValue(writer, frame, MAX_DEPTH)) as Chunk,
  encodePublish: (id, room, data, options) =>
    packed((writer) => {
      writer.arrayHeader(5);
      writer.string('publish');
      writer.number(id);
      writer.string(room);
      writer.raw(data as Uint8Array);
      writeValue(writer, options, MAX_DEPTH);
    }) as Chunk,
  join: (chunks) => concatBytes(chunks as Uint8Array[]) as Chunk,
  sizeOf: (chunk) => chunk.length,
  decode(message) {
    if (typeof message === 'string') throw new Error('a text');
    return unpackAll(message as ArrayBuffer).map(checkServerFrame);
  },
};
