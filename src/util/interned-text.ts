/**
 * Short ASCII that is read from bytes again and again: room names, types of frames, epochs, ids of nodes.
 * Building a string character by character costs 8 ns each and some garbage, and a map must hash every new
 * string. A string read before is found for a third of that (measured on Node 20: 320 ns for a name of 14
 * bytes and its look-up, or 110).
 */

const LONGEST = 64;
/** In pairs: each pair keeps the two names read last that hash to it. */
const SLOTS = 4096;
const known: string[] = new Array<string>(SLOTS).fill('');
const isInterned = new Uint8Array(SLOTS);
const decoder = new TextDecoder();

/** The text of these bytes; null if they are not ASCII, or more than 64. */
export function readInterned(bytes: Uint8Array, at: number, length: number): string | null {
  if (length > LONGEST) return null;
  let hash = length;
  let seen = 0;
  for (let i = at; i < at + length; i++) {
    const byte = bytes[i]!;
    seen |= byte;
    hash = Math.imul(hash ^ byte, 0x0100_0193);
  }
  if (seen >= 0x80) return null;
  const slot = (hash ^ (hash >>> 15)) & (SLOTS - 2);
  if (isSame(known[slot]!, bytes, at, length)) return reread(slot);
  if (isSame(known[slot + 1]!, bytes, at, length)) return reread(slot + 1);
  const text = readAnew(bytes, at, length);
  known[slot + 1] = known[slot]!;
  isInterned[slot + 1] = isInterned[slot]!;
  known[slot] = text;
  isInterned[slot] = 0;
  return text;
}

/** Text that is read twice is likely to be read often. */
function reread(slot: number): string {
  if (isInterned[slot] === 0) {
    known[slot] = interned(known[slot]!);
    isInterned[slot] = 1;
  }
  return known[slot]!;
}

/**
 * V8's own copy of the text, of the same kind as a literal. Code that meets many kinds of strings (flat,
 * joined, made by the decoder) looks up even their length the slow way; and two equal interned strings are
 * one object.
 */
function interned(text: string): string {
  const names: Record<string, true> = Object.create(null);
  names[text] = true;
  return Object.keys(names)[0]!;
}

function isSame(text: string, bytes: Uint8Array, at: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

function readAnew(bytes: Uint8Array, at: number, length: number): string {
  // A call of the platform's decoder costs as much as 16 characters do.
  if (length > 16) return decoder.decode(bytes.subarray(at, at + length));
  let text = '';
  for (let i = at; i < at + length; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
