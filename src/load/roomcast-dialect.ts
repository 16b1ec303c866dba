import { decodeServerFrames, encodeCommand } from '../protocol/client-codec.ts';
import type { CommandFrame } from '../protocol/frames.ts';
import { skipValue } from '../protocol/msgpack/scanner.ts';
import { readUint64 } from '../util/bytes.ts';
import type { Dialect, DialectOptions, PublishTemplate } from './dialect.ts';
import { OPCODE } from './frames.ts';
import type { DialectMember, WireMessage } from './member.ts';
import { joinFrame, roomcastUpgrade, takeOpening, takeOther } from './roomcast-frames.ts';
import type { Tally } from './tally.ts';

/** The parts of a `message` frame (see `src/protocol/message-frame.ts`): 0x96, then 'message', then the room. */
const MESSAGE_ARRAY = 0x96;
const MESSAGE_NAME = 0xa7;
const ROOM_AT = 9;
const UINT64_BYTES = 9;
const OK_ARRAY = 0x93;
const OK_NAME = 0xa2;

/** `roomcast.v1.msgpack`. Publishes ask for an acknowledgement. Offsets are checked: they rise by exactly one. */
export function createDialect(options: DialectOptions): Dialect {
  return {
    upgrade: () => roomcastUpgrade('msgpack', options),
    opening: (connection) => (connection.roomName === null ? null : command(joinFrame(connection))),

    opened(connection, bytes, at, end, tally) {
      let isReady = false;
      for (let from = at; from < end; ) {
        if (isMessage(bytes, from)) from = receiveMessage(connection, bytes, from, tally);
        else {
          const next = skipValue(bytes, from, end);
          const frames = decodeServerFrames(bytes.subarray(from, next));
          for (const frame of frames) isReady = takeOpening(connection, frame, tally) || isReady;
          from = next;
        }
      }
      return isReady;
    },

    publish(room: string, payload: Uint8Array): PublishTemplate {
      // As text, which the node has to check: like most payloads.
      const { opcode, body } = command(['publish', 1, room, Buffer.from(payload).toString('latin1')]);
      return { opcode, body, payloadAt: body.length - payload.length };
    },

    receive(connection, bytes, at, end, tally) {
      while (at < end) {
        if (isMessage(bytes, at)) at = receiveMessage(connection, bytes, at, tally);
        else at = receiveOther(bytes, at, end, tally);
      }
    },
  };
}

function command(frame: CommandFrame): WireMessage {
  return { opcode: OPCODE.binary, body: encodeCommand(frame, 'msgpack') as Uint8Array };
}

function isMessage(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === MESSAGE_ARRAY && bytes[at + 1] === MESSAGE_NAME;
}

/** Walks one `message` frame by its lengths. Returns where it ends. */
function receiveMessage(connection: DialectMember, bytes: Uint8Array, at: number, tally: Tally): number {
  const offsetAt = textEnd(bytes, at + ROOM_AT);
  const offset = readUint64(bytes, offsetAt + 1);
  const dataAt = textEnd(bytes, offsetAt + 2 * UINT64_BYTES);
  const payloadAt = textStart(bytes, dataAt);
  tally.checkOffset(connection, offset, bytes, payloadAt);
  tally.deliver(connection, bytes, payloadAt);
  return textEnd(bytes, dataAt);
}

/** Where the characters of the string at `at` start. The driver sends strings; nil is one byte. */
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
  throw new Error(`a message frame has 0x${byte.toString(16)} where the driver expects a string`);
}

/** Replies and other pushes. Returns where the frame ends. */
function receiveOther(bytes: Uint8Array, at: number, end: number, tally: Tally): number {
  const next = skipValue(bytes, at, end);
  if (next < 0) throw new Error('the node sent something that is not MessagePack');
  if (bytes[at] === OK_ARRAY && bytes[at + 1] === OK_NAME) tally.acknowledged++;
  else for (const frame of decodeServerFrames(bytes.subarray(at, next))) takeOther(frame, tally);
  return next;
}
