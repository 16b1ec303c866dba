/** Limits that are part of the contract: not configurable, the same on every node and in every client. */

/** Bytes of UTF-8 in a room name. */
export const MAX_ROOM_BYTES = 128;
/** Bytes of UTF-8 in an idempotency key. */
export const MAX_KEY_BYTES = 64;
/** Arrays and maps nested deeper than this inside one frame are refused: a decoder's stack is finite. */
export const MAX_DEPTH = 64;
/**
 * Bytes of one HTTP request before its body: request line and header lines, line ends included. A token on the upgrade has to
 * fit in it, in `Authorization` or in `?token=`, beside whatever else the client sends. What is larger is answered 431.
 */
export const MAX_HEADER_BYTES = 16_384;
/** Header lines of one HTTP request. What has more is answered 431. */
export const MAX_HEADER_LINES = 98;
/** Names that start with this are the node's own, such as `$user:<id>`. */
export const RESERVED_PREFIX = '$';
/** `$user:<id>` is the personal room of a user. */
export const USER_ROOM_PREFIX = '$user:';

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses.
const FORBIDDEN_IN_ROOM = /[\u0000-\u001f\u007f-\u009f*]/;
// Without the `u` flag a surrogate that has no partner is found by looking at what stands beside it.
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * What is wrong with a room name, or null for a good one. Reserved names are well-formed: whether one may be
 * used is the caller's question.
 */
export function roomNameProblem(room: string): string | null {
  if (room.length === 0) return 'a room name is empty';
  if (isPlain(room)) return null;
  if (utf8Length(room) > MAX_ROOM_BYTES) return `a room name is longer than ${MAX_ROOM_BYTES} bytes`;
  if (FORBIDDEN_IN_ROOM.test(room)) return 'a room name holds a control character or *';
  if (LONE_SURROGATE.test(room)) return 'a room name is not valid Unicode';
  return null;
}

/** What is wrong with an idempotency key, or null for a good one. */
export function keyProblem(key: string): string | null {
  const bytes = utf8Length(key);
  if (bytes < 1 || bytes > MAX_KEY_BYTES) return `key must be 1 to ${MAX_KEY_BYTES} bytes, got ${bytes}`;
  // Two such keys would become one when they are written as UTF-8, and the second publish would be lost as a duplicate.
  if (bytes !== key.length && LONE_SURROGATE.test(key)) return 'key is not valid Unicode';
  return null;
}

/** The quick answer for most names: printable ASCII that fits. It is asked for every publish. */
function isPlain(room: string): boolean {
  const { length } = room;
  if (length > MAX_ROOM_BYTES) return false;
  for (let i = 0; i < length; i++) {
    const unit = room.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7e || unit === 0x2a) return false;
  }
  return true;
}

/** Bytes that a string takes in UTF-8; three for a surrogate without a partner, which is sent as U+FFFD. */
export function utf8Length(text: string): number {
  // Looked up once: see `writeAscii`.
  const { length } = text;
  let bytes = length;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (isPairAt(text, i)) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isPairAt(text: string, at: number): boolean {
  // A surrogate without its partner is sent as U+FFFD: three bytes, and the next unit counts for itself.
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}
