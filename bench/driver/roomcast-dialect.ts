import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import { skipValue } from '../../src/protocol/msgpack/scanner.ts';
import { readUint64 } from '../../src/util/bytes.ts';
import type { BenchConnection } from './connection.ts';
import type { Dialect, PublishTemplate } from './dialect.ts';
import { OPCODE } from './frames.ts';
import type { Tally } from './tally.ts';

/** The parts of a `message` frame (see `src/protocol/message-frame.ts`): 0x96, then 'message', then the room. */
const MESSAGE_ARRAY = 0x96;
const MESSAGE_NAME = 0xa7;
const ROOM_AT = 9;
const UINT64_BYTES = 9;
const OK_ARRAY = 0x93;
const OK_NAME = 0xa2;

/** `roomcast.v1.msgpack`. Publishes ask for an acknowledgement. Offsets are checked: they rise by exactly one. */
export function roomcastDialect(): Dialect {
  return {
    subprotocol: 'roomcast.v1.msgpack',
    path: () => '/ws',
    join: (room) => command(['join', 1, room]),
    isJoined: (body) =>
      decodeServerFrames(body).some((frame) => {
        if (frame[0] === 'error') throw new Error(`a join was refused: ${frame[2]} (${frame[3]})`);
        return frame[0] === 'ok';
      }),

    publish(room: string, payload: Uint8Array): PublishTemplate {
      // As text, which the node has to check: what most payloads are.
      const { opcode, body } = command(['publish', 1, room, Buffer.from(payload).toString('latin1')]);
      return { opcode, body, payloadAt: body.length - payload.length };
    },

    receive: receiveFrames,
  };
}

function command(frame: Parameters<typeof encodeCommand>[0]): { opcode: number; body: Uint8Array } {
  return { opcode: OPCODE.binary, body: encodeCommand(frame, 'msgpack') as Uint8Array };
}

function receiveFrames(
  connection: BenchConnection,
  bytes: Uint8Array,
  at: number,
  end: number,
  tally: Tally,
): void {
  while (at < end) {
    if (bytes[at] === MESSAGE_ARRAY && bytes[at + 1] === MESSAGE_NAME)
      at = receiveMessage(connection, bytes, at, tally);
    else at = receiveOther(bytes, at, end, tally);
  }
}

/** Walks one `message` frame by its lengths. Returns where it ends. */
function receiveMessage(connection: BenchConnection, bytes: Uint8Array, at: number, tally: Tally): number {
  const offsetAt = textEnd(bytes, at + ROOM_AT);
  const offset = readUint64(bytes, offsetAt + 1);
  const dataAt = textEnd(bytes, offsetAt + 2 * UINT64_BYTES);
  const last = connection.lastOffset;
  // The first one may be any: the position that the join was given is where others have published since.
  if (offset === last + 1 || last === 0) connection.lastOffset = offset;
  else if (offset !== 0) connection.lastOffset = tally.outOfStep(connection, 0, offset, last);
  tally.deliver(connection, bytes, textStart(bytes, dataAt));
  return textEnd(bytes, dataAt);
}

/** Where the characters of the string at `at` begin. Strings are what the driver sends; nil is one byte. */
function textStart(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  if (byte < 0xd9) return at + 1;
  return byte === 0xd9 ? at + 2 : byte === 0xda ? at + 3 : at + 5;
}

function textEnd(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  if ((byte & 0xe0) === 0xa0) return at + 1 + (byte & 0x1f);
  if (byte === 0xd9) return at + 2 + bytes[at + 1]!;
  if (byte === 0xda) return at + 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
  if (byte === 0xc0) return at + 1;
  throw new Error(`a message frame holds 0x${byte.toString(16)} where the driver expects a string`);
}

/** Replies, and pushes that should not come in a run in which nothing breaks. Returns where the frame ends. */
function receiveOther(bytes: Uint8Array, at: number, end: number, tally: Tally): number {
  const next = skipValue(bytes, at, end);
  if (next < 0) throw new Error('the node sent something that is not MessagePack');
  if (bytes[at] === OK_ARRAY && bytes[at + 1] === OK_NAME) tally.acknowledged++;
  else tally.trouble(JSON.stringify(decodeServerFrames(bytes.subarray(at, next))));
  return next;
}
