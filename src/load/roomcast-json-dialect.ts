import { decodeServerFrames, encodeCommand } from '../protocol/client-codec.ts';
import type { CommandFrame } from '../protocol/frames.ts';
import { startsWith } from '../util/bytes.ts';
import type { Dialect, DialectOptions, PublishTemplate } from './dialect.ts';
import { OPCODE } from './frames.ts';
import type { DialectMember, WireMessage } from './member.ts';
import { joinFrame, roomcastUpgrade, takeOpening, takeOther } from './roomcast-frames.ts';
import type { Tally } from './tally.ts';

const MESSAGE = Buffer.from('["message","');
const OK = Buffer.from('["ok",');
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const ZERO = 0x30;

/** The end of a message frame after its payload. */
const TAIL_BYTES = '"]'.length;

/** `roomcast.v1.json`: the same frames as lines of text, for browsers without a MessagePack library. */
export function createDialect(options: DialectOptions): Dialect {
  const { payloadBytes } = options;
  return {
    upgrade: () => roomcastUpgrade('json', options),
    opening: (connection) => (connection.roomName === null ? null : command(joinFrame(connection))),

    opened(connection, bytes, at, end, tally) {
      let isReady = false;
      eachLine(bytes, at, end, (from, to) => {
        if (startsWith(bytes, from, MESSAGE))
          return receiveMessage(connection, bytes, from, to, payloadBytes, tally);
        for (const frame of frames(bytes, from, to))
          isReady = takeOpening(connection, frame, tally) || isReady;
      });
      return isReady;
    },

    publish(room: string, payload: Uint8Array): PublishTemplate {
      const { opcode, body } = command(['publish', 1, room, Buffer.from(payload).toString('latin1')]);
      return { opcode, body, payloadAt: body.length - TAIL_BYTES - payload.length };
    },

    receive(connection, bytes, at, end, tally) {
      let from = at;
      while (from < end) {
        let to = from;
        while (to < end && bytes[to] !== NEWLINE) to++;
        if (startsWith(bytes, from, MESSAGE))
          receiveMessage(connection, bytes, from, to, payloadBytes, tally);
        else if (startsWith(bytes, from, OK)) tally.acknowledged++;
        else for (const frame of frames(bytes, from, to)) takeOther(frame, tally);
        from = to + 1;
      }
    },
  };
}

function command(frame: CommandFrame): WireMessage {
  return { opcode: OPCODE.text, body: Buffer.from(encodeCommand(frame, 'json') as string) };
}

function frames(bytes: Uint8Array, from: number, to: number): ReturnType<typeof decodeServerFrames> {
  return decodeServerFrames(Buffer.from(bytes.subarray(from, to)).toString());
}

function eachLine(
  bytes: Uint8Array,
  at: number,
  end: number,
  take: (from: number, to: number) => void,
): void {
  for (let from = at; from < end; ) {
    const newline = bytes.subarray(from, end).indexOf(NEWLINE);
    const to = newline < 0 ? end : from + newline;
    take(from, to);
    from = to + 1;
  }
}

/** Room and sender contain no quotes: the driver chose the room, and the sender is an id. */
function receiveMessage(
  connection: DialectMember,
  bytes: Uint8Array,
  from: number,
  to: number,
  payloadBytes: number,
  tally: Tally,
): void {
  let at = from + MESSAGE.length;
  while (bytes[at] !== QUOTE) at++;
  let offset = 0;
  for (at += 2; bytes[at]! >= ZERO; at++) offset = offset * 10 + (bytes[at]! - ZERO);
  const payloadAt = to - TAIL_BYTES - payloadBytes;
  tally.checkOffset(connection, offset, bytes, payloadAt);
  tally.deliver(connection, bytes, payloadAt);
}
