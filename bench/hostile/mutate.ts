/** Damage to bytes that were well formed: what a parser meets when nobody follows the grammar. */
import type { Random } from '../../test/support/random.ts';

/** Bytes that a parser treats in a way of their own: ends, signs, quotes, and the lead bytes of MessagePack. */
const TELLING = [
  ...[0x00, 0x01, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x2c, 0x2e, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x7f],
  ...[0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3],
  ...[0xd4, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xfe, 0xff],
];
/** Nothing grows beyond this by being repeated. */
const MOST_BYTES = 80_000;
const MOST_AT_ONCE = 4;

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  // One bit.
  (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.whole(0, 7))),
  (bytes, random) => changed(bytes, random, () => random.pick(TELLING)),
  (bytes, random) => changed(bytes, random, () => random.whole(0, 255)),
  // A number becomes its neighbour: lengths and counts lie by one.
  (bytes, random) => changed(bytes, random, (byte) => byte + random.pick([-1, 1])),
  (bytes, random) => {
    const at = random.whole(0, bytes.length);
    const more = Buffer.from(Array.from({ length: random.whole(1, 8) }, () => random.pick(TELLING)));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, random) => bytes.subarray(0, random.whole(0, bytes.length)),
  (bytes, random) => bytes.subarray(random.whole(0, Math.max(0, bytes.length - 1))),
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    const times = random.pick([1, 2, 16, 200]);
    if (bytes.length + times * (to - from) > MOST_BYTES) return bytes;
    const again = Array.from({ length: times }, () => bytes.subarray(from, to));
    return Buffer.concat([bytes.subarray(0, to), ...again, bytes.subarray(to)]);
  },
  // Two halves change places.
  (bytes, random) => {
    const at = random.whole(0, bytes.length);
    return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
  },
];

/** A damaged copy; rarely one that is the same. */
export function mutated(bytes: Buffer, random: Random): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let left = random.whole(1, MOST_AT_ONCE); left > 0; left--)
    result = random.pick(MUTATIONS)(result, random);
  return result;
}

function changed(bytes: Buffer, random: Random, change: (byte: number) => number): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  const at = random.whole(0, copy.length - 1);
  copy[at] = change(copy[at]!) & 0xff;
  return copy;
}

function range(bytes: Buffer, random: Random): [from: number, to: number] {
  const from = random.whole(0, bytes.length);
  return [from, Math.min(bytes.length, from + random.whole(0, 40))];
}
