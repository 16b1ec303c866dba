/** Limits that are part of the contract: not configurable, the same on every node and in every client. */

/** Bytes of UTF-8 in a room name. */
export const MAX_ROOM_BYTES = 128;
/** Bytes of UTF-8 in an idempotency key, and in a `conflateKey`. */
export const MAX_KEY_BYTES = 64;
/** Bytes of UTF-8 in the `after` of a `members`: more than any `next` has. */
export const MAX_AFTER_BYTES = 128;
/** Arrays and maps nested deeper than this inside one frame are refused: a decoder's stack is finite. */
export const MAX_DEPTH = 64;
/**
 * Bytes of one HTTP request before its body: request line and header lines, with line ends. A token on the
 * upgrade must fit into it, in `Authorization` or in `?token=`, with everything else that the client sends. A
 * larger one is answered 431.
 */
export const MAX_HEADER_BYTES = 16_384;
/** Header lines of one HTTP request. A request with more is answered 431. */
export const MAX_HEADER_LINES = 98;
/** Names that start with this belong to the node, such as `$user:<id>`. */
export const RESERVED_PREFIX = '$';
/** `$user:<id>` is the personal room of a user. */
export const USER_ROOM_PREFIX = '$user:';

// biome-ignore lint/suspicious/noControlCharactersInRegex: it exists to reject control characters.
const FORBIDDEN_IN_ROOM = /[\u0000-\u001f\u007f-\u009f*]/;
// Without the `u` flag, a lone surrogate is found by looking at its neighbours.
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * What is wrong with a room name, or null if it is valid. Reserved names are well-formed: the caller decides
 * whether one may be used.
 */
export function roomNameProblem(room: string): string | null {
  if (room.length === 0) return 'the room name is empty';
  if (isPlain(room)) return null;
  if (utf8Length(room) > MAX_ROOM_BYTES) return `the room name is longer than ${MAX_ROOM_BYTES} bytes`;
  if (FORBIDDEN_IN_ROOM.test(room)) return 'the room name contains a control character or *';
  if (LONE_SURROGATE.test(room)) return 'the room name is not valid Unicode';
  return null;
}

/** What is wrong with an idempotency key or a `conflateKey`, or null if it is valid. `name`: of the option. */
export function keyProblem(key: string, name = 'key'): string | null {
  const bytes = utf8Length(key);
  if (bytes < 1 || bytes > MAX_KEY_BYTES) return `${name} must be 1 to ${MAX_KEY_BYTES} bytes, got ${bytes}`;
  // Two such keys would become equal as UTF-8, and the second publish would be dropped as a duplicate.
  if (bytes !== key.length && LONE_SURROGATE.test(key)) return `${name} is not valid Unicode`;
  return null;
}

/** Whether text survives UTF-8: two that do not could become equal. */
export function isValidUnicode(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** The fast path for most names: printable ASCII that fits. Every publish runs it. */
function isPlain(room: string): boolean {
  const { length } = room;
  if (length > MAX_ROOM_BYTES) return false;
  for (let i = 0; i < length; i++) {
    const unit = room.charCodeAt(i);
    if (unit < 0x20 || unit > 0x7e || unit === 0x2a) return false;
  }
  return true;
}

/** Bytes that a string takes in UTF-8; three for a lone surrogate, which is sent as U+FFFD. */
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
  // A lone surrogate is sent as U+FFFD: three bytes, and the next unit counts for itself.
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}
