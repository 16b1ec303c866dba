/**
 * Finds where a MessagePack value ends and checks it against the protocol, without decoding it: this lets the
 * node copy a publisher's payload unchanged into the outgoing frame. It allocates and throws nothing, and
 * only ever compares a declared length with the bytes present. Problems are negative numbers.
 */
import { readUint32 } from '../../util/bytes.ts';
import { isUtf8 } from './utf8.ts';

// No decoder could continue: the connection is closed with 1007.
const TRUNCATED = -1;
const NEVER_USED = -2;
const BAD_UTF8 = -3;
// The value can be skipped, but the protocol refuses it: the frame gets `bad_frame`, the connection stays
// open.
const BAD_EXTENSION = -4;
const BAD_KEY = -5;
const BAD_INTEGER = -6;
const TOO_DEEP = -7;
const BAD_TIMESTAMP = -8;

const PROBLEMS: Record<number, string> = {
  [TRUNCATED]: 'a value is cut off',
  [NEVER_USED]: 'the byte 0xc1 is not a value',
  [BAD_UTF8]: 'a string is not valid UTF-8',
  [BAD_EXTENSION]: 'an extension type other than timestamp is not supported',
  [BAD_KEY]: 'a map key is not a string',
  [BAD_INTEGER]: 'an integer does not fit 53 bits',
  [TOO_DEEP]: 'arrays and maps are nested too deeply',
  [BAD_TIMESTAMP]: 'a timestamp has 1,000,000,000 nanoseconds or more',
};

/** What a negative result of `scanValue` means, in words. */
export function scanProblem(result: number): string {
  return PROBLEMS[result] ?? 'unknown problem';
}

/** Whether everything after this problem is unreadable, as opposed to one refused value. */
export function isUndecodable(result: number): boolean {
  return result < 0 && result >= BAD_UTF8;
}

/**
 * Where the value at `at` ends, or a negative problem. `levels`: how deep arrays and maps may still nest.
 * Recursion goes no deeper than that.
 */
export function scanValue(bytes: Uint8Array, at: number, end: number, levels: number): number {
  if (at >= end) return TRUNCATED;
  const byte = bytes[at]!;
  if (byte < 0x80 || byte >= 0xe0) return at + 1;
  if (byte < 0x90) return scanMap(bytes, at + 1, end, byte & 0x0f, levels);
  if (byte < 0xa0) return scanArray(bytes, at + 1, end, byte & 0x0f, levels);
  if (byte < 0xc0) return scanText(bytes, at + 1, end, byte & 0x1f);
  return scanTagged(bytes, at, end, levels);
}

function scanTagged(bytes: Uint8Array, at: number, end: number, levels: number): number {
  const byte = bytes[at]!;
  const body = at + 1 + LENGTH_BYTES[byte - 0xc0]!;
  if (body > end) return TRUNCATED;
  const length = readLength(bytes, at + 1, body);
  switch (byte) {
    case 0xc1:
      return NEVER_USED;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return within(body + length, end);
    case 0xc7:
    case 0xc8:
    case 0xc9:
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return scanExtension(bytes, body, end, byte < 0xd4 ? length : 1 << (byte - 0xd4));
    case 0xcf:
      return scanUint64(bytes, body, end);
    case 0xd3:
      return scanInt64(bytes, body, end);
    case 0xd9:
    case 0xda:
    case 0xdb:
      return scanText(bytes, body, end, length);
    case 0xdc:
    case 0xdd:
      return scanArray(bytes, body, end, length, levels);
    case 0xde:
    case 0xdf:
      return scanMap(bytes, body, end, length, levels);
    default:
      return within(body + FIXED_BYTES[byte - 0xc0]!, end);
  }
}

// For the lead bytes 0xc0 to 0xdf: the bytes of the length that follows, and those of a body of fixed size
// (for extensions of fixed size with the byte of their type).
//                    c0                   c4       c7       ca    cc          d0          d4              d9       dc    de
const LENGTH_BYTES = [
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
];
const FIXED_BYTES = [
  0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0,
];

function readLength(bytes: Uint8Array, at: number, body: number): number {
  switch (body - at) {
    case 1:
      return bytes[at]!;
    case 2:
      return (bytes[at]! << 8) | bytes[at + 1]!;
    case 4:
      return readUint32(bytes, at);
    default:
      return 0;
  }
}

function within(stop: number, end: number): number {
  return stop > end ? TRUNCATED : stop;
}

function scanText(bytes: Uint8Array, at: number, end: number, length: number): number {
  const stop = at + length;
  if (stop > end) return TRUNCATED;
  for (let i = at; i < stop; i++) {
    if (bytes[i]! >= 0x80) return isUtf8(bytes, i, stop) ? stop : BAD_UTF8;
  }
  return stop;
}

function scanArray(bytes: Uint8Array, at: number, end: number, count: number, levels: number): number {
  if (levels === 0) return TOO_DEEP;
  // Each element takes at least one byte, so an impossible length is detected at once.
  if (count > end - at) return TRUNCATED;
  for (let i = 0; i < count; i++) {
    at = scanValue(bytes, at, end, levels - 1);
    if (at < 0) return at;
  }
  return at;
}

function scanMap(bytes: Uint8Array, at: number, end: number, count: number, levels: number): number {
  if (levels === 0) return TOO_DEEP;
  if (count * 2 > end - at) return TRUNCATED;
  for (let i = 0; i < count; i++) {
    if (at < end && !isTextLead(bytes[at]!)) return BAD_KEY;
    at = scanValue(bytes, at, end, levels - 1);
    if (at < 0) return at;
    at = scanValue(bytes, at, end, levels - 1);
    if (at < 0) return at;
  }
  return at;
}

/** Whether a value that starts with this byte is a string. */
export function isTextLead(byte: number): boolean {
  return (byte & 0xe0) === 0xa0 || (byte >= 0xd9 && byte <= 0xdb);
}

/** `at` is the byte of the type. Timestamps have type -1 and 4, 8 or 12 bytes. */
function scanExtension(bytes: Uint8Array, at: number, end: number, length: number): number {
  const stop = at + 1 + length;
  if (stop > end) return TRUNCATED;
  if (bytes[at]! !== 0xff || (length !== 4 && length !== 8 && length !== 12)) return BAD_EXTENSION;
  return length === 4 || holdsNanoseconds(bytes, at + 1, length) ? stop : BAD_TIMESTAMP;
}

/**
 * Whether the nanoseconds are less than a second: the upper 30 bits of 8 bytes, or the first four of 12
 * bytes. Strict decoders throw for more, and one such message would make every member throw, at each
 * recovery.
 */
function holdsNanoseconds(bytes: Uint8Array, at: number, length: number): boolean {
  const word = readUint32(bytes, at);
  return (length === 8 ? word >>> 2 : word) < 1_000_000_000;
}

function scanUint64(bytes: Uint8Array, at: number, end: number): number {
  if (at + 8 > end) return TRUNCATED;
  return readUint32(bytes, at) > 0x1f_ffff ? BAD_INTEGER : at + 8;
}

function scanInt64(bytes: Uint8Array, at: number, end: number): number {
  if (at + 8 > end) return TRUNCATED;
  const high = readUint32(bytes, at) | 0;
  if (high > 0x1f_ffff || high < -0x20_0000) return BAD_INTEGER;
  return high === -0x20_0000 && readUint32(bytes, at + 4) === 0 ? BAD_INTEGER : at + 8;
}

/**
 * Where a value that `scanValue` refused ends, whatever it contains: counts the values still to come instead
 * of recursing. `TRUNCATED` or `NEVER_USED` if that is not possible.
 */
export function skipValue(bytes: Uint8Array, at: number, end: number): number {
  for (let pending = 1; pending > 0; pending--) {
    if (pending > end - at) return TRUNCATED;
    const byte = bytes[at]!;
    if (byte === 0xc1) return NEVER_USED;
    if (byte < 0x80 || byte >= 0xe0) at += 1;
    else if (byte < 0xc0) {
      at += byte < 0xa0 ? 1 : 1 + (byte & 0x1f);
      if (byte < 0xa0) pending += (byte & 0x0f) * (byte < 0x90 ? 2 : 1);
    } else {
      const body = at + 1 + LENGTH_BYTES[byte - 0xc0]!;
      if (body > end) return TRUNCATED;
      const length = readLength(bytes, at + 1, body);
      at = body + FIXED_BYTES[byte - 0xc0]!;
      if (byte < 0xdc) at += length;
      else pending += byte < 0xde ? length : length * 2;
    }
  }
  return at > end ? TRUNCATED : at;
}
