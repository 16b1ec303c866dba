import type { Dialect, DialectOptions, PublishTemplate } from '../../src/load/dialect.ts';
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';
import type { DialectMember, WireMessage } from '../../src/load/member.ts';
import type { Tally } from '../../src/load/tally.ts';

const NEWLINE = 0x0a;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const PONG = maskedFrame(OPCODE.text, Buffer.from('{}')).bytes;
const PUBLICATION = Buffer.from('"pub":{"data":"');
const OFFSET = Buffer.from('"offset":');
const ACKNOWLEDGED = Buffer.from(',"publish":{');

/** Ids of the commands: a connection sends each of the first two once. */
const CONNECT = 1;
const SUBSCRIBE = 2;
const PUBLISH = 3;

interface Reply {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly message: string };
  readonly subscribe?: Subscribed;
}

interface Subscribed {
  readonly epoch?: string;
  readonly offset?: number;
  readonly publications?: readonly { readonly data: string; readonly offset: number }[];
}

/**
 * Centrifugo's client protocol in JSON: replies in lines, each publish acknowledged, publications numbered. A subscription
 * that comes back names its epoch and last offset, and gets what it missed in the answer. Written to the documentation and
 * the encoder's order of fields (data, info, offset); it has not been run against a server here.
 */
export function createDialect({ payloadBytes, path = '/connection/websocket' }: DialectOptions): Dialect {
  return {
    upgrade: () => ({ path, headers: {} }),
    opening: () => command({ id: CONNECT, connect: {} }),

    opened(connection, bytes, at, end, tally) {
      let isReady = false;
      for (const line of Buffer.from(bytes.subarray(at, end)).toString().split('\n')) {
        if (line !== '') isReady = takeOpening(connection, line, payloadBytes, tally) || isReady;
      }
      return isReady;
    },

    publish(room: string, payload: Uint8Array): PublishTemplate {
      const head = Buffer.from(`{"id":${PUBLISH},"publish":{"channel":${JSON.stringify(room)},"data":"`);
      const body = Buffer.concat([head, payload, Buffer.from('"}}')]);
      return { opcode: OPCODE.text, body, payloadAt: head.length };
    },

    receive(connection, bytes, at, end, tally) {
      for (let from = at; from < end; ) {
        let to = from;
        while (to < end && bytes[to] !== NEWLINE) to++;
        takeLine(connection, bytes, from, to, payloadBytes, tally);
        from = to + 1;
      }
    },
  };
}

function takeOpening(connection: DialectMember, line: string, payloadBytes: number, tally: Tally): boolean {
  const reply = JSON.parse(line) as Reply;
  if (reply.error) throw new Error(`a connection was refused: ${line}`);
  if (reply.id === CONNECT && connection.roomName !== null) connection.send(subscription(connection));
  if (reply.id === CONNECT) return connection.roomName === null;
  if (reply.subscribe) return subscribed(connection, reply.subscribe, tally);
  const bytes = Buffer.from(line);
  takeLine(connection, bytes, 0, bytes.length, payloadBytes, tally);
  return false;
}

function subscription({ roomName: channel, session: epoch, lastOffset: offset }: DialectMember): WireMessage {
  const since = epoch === '' ? {} : { recover: true, epoch, offset };
  return command({ id: SUBSCRIBE, subscribe: { channel, ...since } });
}

function subscribed(
  connection: DialectMember,
  { epoch = '', offset = 0, publications = [] }: Subscribed,
  tally: Tally,
): boolean {
  // The first time this is where it begins. When it comes back, it is where it stood before.
  if (connection.session === '') connection.lastOffset = offset;
  connection.session = epoch;
  for (const publication of publications) {
    const payload = Buffer.from(publication.data);
    tally.checkOffset(connection, publication.offset, payload, 0);
    tally.deliver(connection, payload, 0);
  }
  return true;
}

/** One reply, `bytes` from `at` to `end`. */
function takeLine(
  connection: DialectMember,
  bytes: Uint8Array,
  at: number,
  end: number,
  payloadBytes: number,
  tally: Tally,
): void {
  const dataAt = find(bytes, at, end, PUBLICATION);
  if (dataAt > 0) {
    const offsetAt = find(bytes, dataAt + payloadBytes, end, OFFSET);
    tally.checkOffset(connection, offsetAt > 0 ? numberAt(bytes, offsetAt) : 0, bytes, dataAt);
    tally.deliver(connection, bytes, dataAt);
  } else if (end - at === 2 && bytes[at] === OPEN_BRACE && bytes[at + 1] === CLOSE_BRACE) {
    connection.write(PONG);
  } else if (find(bytes, at, end, ACKNOWLEDGED) > 0) tally.acknowledged++;
  else if (end > at) tally.trouble(Buffer.from(bytes.subarray(at, end)).toString());
}

/** Where the bytes behind `what` begin, or -1. */
function find(bytes: Uint8Array, from: number, end: number, what: Uint8Array): number {
  for (let at = from; at + what.length <= end; at++) {
    let i = 0;
    while (i < what.length && bytes[at + i] === what[i]) i++;
    if (i === what.length) return at + i;
  }
  return -1;
}

function numberAt(bytes: Uint8Array, at: number): number {
  let number = 0;
  for (; bytes[at]! >= ZERO && bytes[at]! <= NINE; at++) number = number * 10 + bytes[at]! - ZERO;
  return number;
}

function command(body: Readonly<Record<string, unknown>>): WireMessage {
  return { opcode: OPCODE.text, body: Buffer.from(JSON.stringify(body)) };
}
