/** What a hostile client sends: each attack as raw bytes, so that the attacker costs little. */
import { maskedFrame, OPCODE, upgradeRequest } from '../../src/load/frames.ts';

export interface Attack {
  readonly name: string;
  readonly encoding: 'msgpack' | 'json';
  /** Sockets that attack at once. */
  readonly sockets: number;
  /** What a socket sends, over and over; a function: for the number of times that this attack has sent something. */
  readonly chunk: Buffer | ((number: number) => Buffer);
  /** How often a second, all sockets together; null: as fast as possible. */
  readonly perSecond: number | null;
  /** A socket sends this once and then waits. */
  readonly isOnce?: boolean;
  /** It keeps sending after it was closed, as long as its socket lasts. */
  readonly ignoresClose?: boolean;
  /** An HTTP request, without an upgrade before it. */
  readonly isHttp?: boolean;
  /** It never reads. */
  readonly isDeaf?: boolean;
  /** It sends a byte at a time, and waits for so long after each. */
  readonly byteEveryMs?: number;
  /** The node has a key for tokens, and admits anonymous clients too. */
  readonly isForged?: boolean;
}

const CONTINUATION = 0;
const MAX_PAYLOAD = 65_536;
/** Bytes of a chunk of small frames: one write for many. */
const FRAMES = 20_000;
/** The room to read: filled before the attack with as much as it keeps. */
export const FULL_ROOM = 'flood:full';
/** The room with as many members as one answer lists. */
export const CROWDED_ROOM = 'flood:crowded';

function frame(opcode: number, body: Uint8Array | readonly number[] | string = ''): Buffer {
  return maskedFrame(opcode, Buffer.from(body as Uint8Array)).bytes;
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

function flood(name: string, chunk: Attack['chunk'], more: Partial<Attack> = {}): Attack {
  return { name, encoding: 'msgpack', sockets: 1, chunk, perSecond: null, ...more };
}

/** Two hundred rooms that nobody has used, each joined and left. */
function newRooms(number: number): Buffer {
  const lines = Array.from({ length: 200 }, (_, i) => {
    const room = `"flood:new:${number}:${i}"`;
    return `["join",1,${room}]\n["leave",1,${room}]`;
  });
  return frame(OPCODE.text, lines.join('\n'));
}

/** Two hundred publishes, each with a key that nobody has used. */
function newKeys(number: number): Buffer {
  const lines = Array.from(
    { length: 200 },
    (_, i) => `["publish",1,"flood:keys",0,{"key":"${number}:${i}"}]`,
  );
  return frame(OPCODE.text, lines.join('\n'));
}

/** With a signature of the right length that was never made: as costly to check as a good one. */
function forgedToken(number: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part({ sub: `user${number}` })}.${Buffer.alloc(256, number + 1).toString('base64url')}`;
}

function forgedRequest(number: number): Buffer {
  const head = ['POST /v1/rooms/flood%3Aforged/messages HTTP/1.1', 'Host: x', 'Content-Length: 10'];
  return Buffer.from(
    [...head, `Authorization: Bearer ${forgedToken(number)}`, '', '{"data":1}'].join('\r\n'),
  );
}

/** All of a body but its last byte. */
function unfinishedBody(path: string, bytes: number): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes - 1, ' ')]);
}

const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';

/** A head, and from then on chunks: another head among them ends the socket, which is opened anew. */
function chunked(number: number): Buffer {
  const head =
    'POST /v1/rooms/flood%3Abig/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
  return Buffer.from((number % 50 < 40 ? head : '') + '1\r\nx\r\n'.repeat(5000));
}

/** Empty lists: the most values in so many bytes. */
function denseBody(path: string, bytes: number): Buffer {
  const body = `{"rooms":[{"room":"flood:dense","data":1}],"data":[${'[],'.repeat(bytes / 3)}[]]}`;
  return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
}

const UPGRADE = Buffer.from(upgradeRequest('x', '/ws', {}));

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
  flood('joins of 1 MB, 1,000 at once', repeated(commands(JOIN, 500), 2), { ...JSON_TEXT, perSecond: 1 }),
  flood('joins of new rooms', newRooms, JSON_TEXT),
  flood('joins of new rooms, 100 sockets', newRooms, { ...JSON_TEXT, sockets: 100, perSecond: 200 }),
  flood('messages of one byte', repeated(frame(OPCODE.binary, [1]), FRAMES)),
  flood('tiny frames, one in a packet', frame(OPCODE.binary, PING), { sockets: 20, perSecond: 10_000 }),
  flood('forged RSA tokens in requests, 3,000 a second', forgedRequest, {
    sockets: 100,
    perSecond: 3000,
    isHttp: true,
    isForged: true,
  }),
  flood(
    'forged RSA tokens in auth frames, 100 sockets',
    (n) => commands(`["auth",1,"${forgedToken(n)}"]`, 1),
    {
      ...JSON_TEXT,
      sockets: 100,
      perSecond: 2000,
      isForged: true,
    },
  ),
  flood('unread replies to pings', commands('["ping",1]', 500), { ...JSON_TEXT, sockets: 20, isDeaf: true }),
  flood('unread replies of 1 MB, 50 sockets', commands(HISTORY, 4), {
    ...JSON_TEXT,
    sockets: 50,
    perSecond: 100,
    isDeaf: true,
  }),
  flood('slow-loris upgrades, 1,000 sockets', UPGRADE, { sockets: 1000, isHttp: true, byteEveryMs: 500 }),
  flood('half-open connections, 5,000 sockets', Buffer.alloc(0), {
    sockets: 5000,
    isOnce: true,
    isHttp: true,
  }),
  flood('sockets held with a request every 7 s, 5,000 sockets', Buffer.from(HEALTH), {
    sockets: 5000,
    perSecond: 5000 / 7,
    isHttp: true,
  }),
  flood(
    'unfinished bodies of 1 MB, 500 sockets',
    unfinishedBody('/v1/rooms/flood%3Abig/messages', 1_048_576),
    {
      sockets: 500,
      isOnce: true,
      isHttp: true,
    },
  ),
  flood(
    'unfinished bodies of 390 kB, 500 sockets',
    unfinishedBody('/v1/rooms/flood%3Abig/messages', 390_000),
    { sockets: 500, isOnce: true, isHttp: true },
  ),
  flood('unfinished bodies, a byte at a time, 1,000 sockets', unfinishedBody('/v1/events', 2000), {
    sockets: 1000,
    isHttp: true,
    byteEveryMs: 500,
  }),
  flood('idempotency keys', newKeys, JSON_TEXT),
  flood('idempotency keys, 20 sockets', newKeys, { ...JSON_TEXT, sockets: 20, perSecond: 100 }),
  flood('requests that wait for no answer', repeated(Buffer.from(HEALTH), 500), { sockets: 4, isHttp: true }),
  flood('requests that wait for no answer, unread', repeated(Buffer.from(HEALTH), 500), {
    sockets: 4,
    isHttp: true,
    isDeaf: true,
  }),
  flood('bodies in chunks of a byte, 40 sockets', chunked, { sockets: 40, isHttp: true }),
  flood('dense bodies of 1 MB for event streams, 10 sockets', denseBody('/v1/events', 1_000_000), {
    sockets: 10,
    perSecond: 100,
    isHttp: true,
  }),
  flood('dense bodies of 190 kB, 10 sockets', denseBody('/v1/rooms/flood%3Adense/messages', 190_000), {
    sockets: 10,
    perSecond: 100,
    isHttp: true,
  }),
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
