/** WebSocket messages of an ill-meaning peer: commands with impossible fields, damaged bytes, broken frames. */
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import type { Random } from '../../test/support/random.ts';
import { mutated } from './mutate.ts';
import { HOSTILE_ROOMS } from './rooms.ts';

export interface HostileMessage {
  /** Of the WebSocket frame, masked. */
  readonly bytes: Buffer;
  /** The frame itself is broken: nothing that follows it on this socket means anything. */
  readonly isBroken: boolean;
}

const TYPES = [
  ...['join', 'leave', 'publish', 'presence', 'members', 'history', 'ack', 'auth', 'ping'],
  ...['ok', 'hello', '__proto__', 'constructor', '', 'Join', 'join\u0000'],
];
const ODD: readonly unknown[] = [
  ...[
    0,
    1,
    -1,
    -0,
    0.5,
    1e308,
    2 ** 31,
    2 ** 53,
    -(2 ** 53),
    1e21,
    null,
    true,
    false,
    '',
    ' ',
    '\u0000',
    '*',
  ],
  ...['$user:', '$user:someone', '$system', 'x'.repeat(128), 'x'.repeat(129), 'é'.repeat(64), '\ud800', '⚡'],
  ...['a\nb', 'a\r\nb: c', '../..', '%00', "'; DROP", '{"a":1}', [], {}, [[]], [null], [[[[]]]]],
  ...[
    { a: 1 },
    JSON.parse('{"__proto__":1}'),
    ['abcdefgh', 0],
    ['', 0],
    ['', -1],
    ['abcdefgh', 2 ** 53],
    [0, 0],
  ],
];
const OPTIONS: readonly ((random: Random) => unknown)[] = [
  (random) => ({ since: random.pick(ODD) }),
  (random) => ({ since: [random.pick(ODD), random.pick(ODD)] }),
  (random) => ({ last: random.pick(ODD), members: random.pick(ODD), resume: random.pick(ODD) }),
  (random) => ({ limit: random.pick(ODD), after: random.pick(ODD) }),
  (random) => ({ key: random.pick(ODD), conflateKey: random.pick(ODD) }),
  (random) => ({ key: `k${random.whole(0, 50)}` }),
  (random) => ({ ephemeral: random.pick(ODD), echo: random.pick(ODD) }),
  (random) => ({ data: random.pick(ODD), members: true }),
  () => ({ last: 10 }),
  () => ({}),
];

/** A command, mostly with something in it that should not be there. */
function command(random: Random): unknown[] {
  const type = random.next() < 0.9 ? random.pick(TYPES.slice(0, 9)) : random.pick(TYPES);
  const id = random.next() < 0.8 ? random.whole(0, 1_000_000) : random.pick(ODD);
  const room = random.next() < 0.7 ? random.pick(HOSTILE_ROOMS) : random.pick(ODD);
  const frame: unknown[] = [type, id, room];
  if (random.next() < 0.6) frame.push(random.pick(ODD));
  if (random.next() < 0.6) frame.push(random.pick(OPTIONS)(random));
  if (random.next() < 0.1) frame.splice(random.whole(0, frame.length), 1);
  if (random.next() < 0.1) frame.push(random.pick(ODD));
  return frame;
}

function encoded(random: Random, encoding: Encoding): Buffer {
  return Buffer.from(encodeCommand(command(random) as unknown as CommandFrame, encoding));
}

function nested(random: Random, encoding: Encoding): Buffer {
  const deep = random.pick([10, 62, 63, 64, 65, 1000, 20_000]);
  if (encoding === 'json') return Buffer.from('['.repeat(deep) + ']'.repeat(random.pick([0, deep])));
  const lead = random.pick([0x91, 0x81, 0xdc, 0xdd, 0xde, 0xdf, 0xc6, 0xc9, 0xdb]);
  return Buffer.concat([Buffer.alloc(deep, lead), Buffer.from([0xc0])]);
}

/** Of one to a few hundred bytes: sizes about a limit are rare, since they are what a run would wait for. */
function large(random: Random): Buffer {
  return Buffer.alloc(
    random.pick([65_535, 65_536, 65_537, 69_631, 69_632, 69_633, 200_000]),
    random.pick([0xc0, 0x20]),
  );
}

const BODIES: readonly [share: number, make: (random: Random, encoding: Encoding) => Buffer][] = [
  [50, encoded],
  [25, (random, encoding) => mutated(encoded(random, encoding), random)],
  [8, several],
  [6, (random) => random.bytes(random.whole(0, 200))],
  [6, nested],
  [
    4,
    (random) =>
      Buffer.from(random.pick(['', '\n', '\n\n \n', '[', ']', '[]', '{}', 'null', '0', '"', '[1]'])),
  ],
  [1, large],
];

/** Several commands in one message, sometimes hundreds of the same. */
function several(random: Random, encoding: Encoding): Buffer {
  const separator = Buffer.from(encoding === 'json' ? '\n' : '');
  const one = encoded(random, encoding);
  const count = random.pick([2, 3, 5, 20, 150]);
  const all = Array.from({ length: count }, () => (count > 5 ? one : encoded(random, encoding)));
  return Buffer.concat(all.flatMap((bytes) => [bytes, separator]));
}

export function hostileMessage(random: Random, encoding: Encoding): HostileMessage {
  const body = share(random, BODIES)(random, encoding);
  const isText = encoding === 'json' ? random.next() < 0.97 : random.next() < 0.03;
  const { bytes } = maskedFrame(isText ? OPCODE.text : OPCODE.binary, body);
  const chance = random.next();
  if (chance < 0.02) return { bytes: mutated(bytes, random), isBroken: true };
  if (chance < 0.03) return { bytes: oddFrame(random, body), isBroken: true };
  return { bytes, isBroken: false };
}

/** A frame that RFC 6455 forbids, or one that only begins something. */
function oddFrame(random: Random, body: Buffer): Buffer {
  const opcode = random.whole(0, 15);
  const { bytes } = maskedFrame(opcode, body.subarray(0, random.pick([0, 1, 2, 3, 125, 126, 300])));
  // Without the final bit, with reserved bits, without a mask.
  if (random.next() < 0.3) bytes[0]! &= 0x7f;
  if (random.next() < 0.2) bytes[0]! |= random.pick([0x10, 0x20, 0x40, 0x70]);
  if (random.next() < 0.2) bytes[1]! &= 0x7f;
  return bytes;
}

/** One of the items, each as often as its share. */
export function share<T>(random: Random, items: readonly (readonly [share: number, item: T])[]): T {
  const total = items.reduce((sum, [part]) => sum + part, 0);
  let left = random.next() * total;
  for (const [part, item] of items) {
    left -= part;
    if (left < 0) return item;
  }
  return items[0]![1];
}
