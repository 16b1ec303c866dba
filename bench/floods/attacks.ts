/** What a hostile client sends: each attack as raw bytes, so that the attacker costs little. */
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';

export interface Attack {
  readonly name: string;
  readonly encoding: 'msgpack' | 'json';
  /** Sockets that attack at once. */
  readonly sockets: number;
  /** What a socket sends, over and over. */
  readonly chunk: Buffer;
  /** How often a second, all sockets together; null: as fast as possible. */
  readonly perSecond: number | null;
  /** A socket sends this once and then waits. */
  readonly isOnce?: boolean;
  /** It keeps sending after it was closed, as long as its socket lasts. */
  readonly ignoresClose?: boolean;
  /** An HTTP request, without an upgrade before it. */
  readonly isHttp?: boolean;
}

const CONTINUATION = 0;
const MAX_PAYLOAD = 65_536;
/** Bytes of a chunk of small frames: one write for many. */
const FRAMES = 20_000;
/** The room to read: filled before the attack with as much as it keeps. */
export const FULL_ROOM = 'flood:full';
/** The room with as many members as one answer lists. */
export const CROWDED_ROOM = 'flood:crowded';

function frame(opcode: number, body: Uint8Array | string = ''): Buffer {
  return maskedFrame(opcode, Buffer.from(body)).bytes;
}

function repeated(bytes: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}

function commands(line: string, times: number): Buffer {
  return frame(OPCODE.text, Array.from({ length: times }, () => line).join('\n'));
}

/** `["ping",1]` in MessagePack. */
const PING = Buffer.from([0x92, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x01]);

/** In MessagePack: `["publish",1,room,"xxx…"]`. */
function publish(room: string, chars: number): Buffer {
  const head = Buffer.from([
    0x94,
    0xa7,
    ...Buffer.from('publish'),
    0x01,
    0xa0 | room.length,
    ...Buffer.from(room),
  ]);
  return Buffer.concat([head, Buffer.from([0xda, chars >> 8, chars & 0xff]), Buffer.alloc(chars, 'x')]);
}

/** A frame that starts a message of this size, without its last byte. */
function unfinished(bytes: number): Buffer {
  const whole = frame(OPCODE.binary, Buffer.alloc(bytes));
  return whole.subarray(0, whole.length - 1);
}

/** A frame that says that more will follow. */
function fragment(bytes: number): Buffer {
  const first = frame(OPCODE.binary, Buffer.alloc(bytes));
  first[0]! &= 0x7f;
  return first;
}

function flood(name: string, chunk: Buffer, more: Partial<Attack> = {}): Attack {
  return { name, encoding: 'msgpack', sockets: 1, chunk, perSecond: null, ...more };
}

const HISTORY = `["history",1,"${FULL_ROOM}"]`;
const MEMBERS = `["members",1,"${CROWDED_ROOM}"]`;
/** Asks for all that the room holds, and leaves before it comes. */
const JOIN = `["join",1,"${FULL_ROOM}",{"since":["",0]}]\n["leave",1,"${FULL_ROOM}"]`;
const JSON_TEXT = { encoding: 'json' } as const;

export const ATTACKS: readonly Attack[] = [
  flood('empty messages', repeated(frame(OPCODE.binary), FRAMES)),
  flood('empty messages, goes on when closed', repeated(frame(OPCODE.binary), FRAMES), {
    ignoresClose: true,
  }),
  flood('pongs', repeated(frame(OPCODE.pong), FRAMES)),
  flood('pings of 125 bytes', repeated(frame(OPCODE.ping, Buffer.alloc(125)), FRAMES / 10)),
  flood(
    'empty fragments',
    Buffer.concat([fragment(1), repeated(emptyFragment(), FRAMES), frame(CONTINUATION)]),
  ),
  flood('4,000 pings a message', frame(OPCODE.binary, repeated(PING, 4000))),
  flood('4,000 pings a message, JSON', commands('["ping",1]', 4000), JSON_TEXT),
  flood('messages of line ends, JSON', frame(OPCODE.text, '\n'.repeat(MAX_PAYLOAD)), JSON_TEXT),
  flood('single pings', repeated(frame(OPCODE.binary, PING), FRAMES / 10)),
  flood(
    'publishes of 60 kB, JSON',
    commands(`["publish",1,"flood:big","${'x'.repeat(60_000)}"]`, 1),
    JSON_TEXT,
  ),
  flood('publishes of 60 kB', frame(OPCODE.binary, publish('flood:big', 60_000))),
  flood('unfinished messages of 64 KiB, 300 sockets', unfinished(MAX_PAYLOAD), {
    sockets: 300,
    isOnce: true,
  }),
  flood('unfinished messages of 1.1 MB, 300 sockets', unfinished(1_100_000), { sockets: 300, isOnce: true }),
  flood('history of 1 MB, 40 a second', commands(HISTORY, 1), { ...JSON_TEXT, perSecond: 40 }),
  flood('history of 1 MB, 5,000 at once', repeated(commands(HISTORY, 500), 10), {
    ...JSON_TEXT,
    perSecond: 1,
  }),
  flood('members of 1,000, 40 a second', commands(MEMBERS, 1), { ...JSON_TEXT, perSecond: 40 }),
  flood('members of 1,000, 5,000 at once', repeated(commands(MEMBERS, 500), 10), {
    ...JSON_TEXT,
    perSecond: 1,
  }),
  flood('joins of 1 MB, 40 a second', commands(JOIN, 1), { ...JSON_TEXT, perSecond: 40 }),
  flood('joins of 1 MB, 1,000 at once', commands(JOIN, 1000), { ...JSON_TEXT, perSecond: 1 }),
  flood('/metrics, 300 a second', Buffer.from('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'), {
    perSecond: 300,
    isHttp: true,
  }),
];

function emptyFragment(): Buffer {
  const bytes = frame(CONTINUATION);
  bytes[0]! &= 0x7f;
  return bytes;
}
