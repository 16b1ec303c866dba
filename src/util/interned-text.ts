/**
 * Short ASCII that is read from bytes again and again: room names, types of frames, epochs, ids of nodes. To build a string
 * character by character costs 8 ns and some garbage for each, and a map has to hash every new string; one that was
 * read before is found for a third of that (measured on Node 20: 320 ns for a name of 14 bytes and its look-up, or 110).
 */

const LONGEST = 64;
/** In pairs: of the names that fall on one pair, the two that were read last are known. */
const SLOTS = 4096;
const known: string[] = new Array<string>(SLOTS).fill('');
const isInterned = new Uint8Array(SLOTS);
const decoder = new TextDecoder();

/** The text of these bytes; null where they are not ASCII, or more than 64. */
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

/** What is read twice is likely to be read often. */
function reread(slot: number): string {
  if (isInterned[slot] === 0) {
    known[slot] = interned(known[slot]!);
    isInterned[slot] = 1;
  }
  return known[slot]!;
}

/**
 * V8's own copy of the text, of the same kind as a literal. Code that meets strings of many kinds (flat, joined, made by the
 * decoder) looks up even their length the slow way; and two equal ones of this kind are one.
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
