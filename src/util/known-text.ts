/**
 * Short ASCII that is read from bytes again and again: room names, types of frames, epochs, ids of nodes. To build a string
 * character by character costs 8 ns and some garbage for each, and a map has to hash every new string; one that was
 * read before is found for a third of that (measured on Node 20: 320 ns for a name of 14 bytes and its look-up, or 110).
 */

const LONGEST = 64;
/** In pairs: of the names that fall on one pair, the two that were read last are known. */
const SLOTS = 4096;
const known: string[] = new Array<string>(SLOTS).fill('');
const decoder = new TextDecoder();

/** The text of these bytes; null where they are not ASCII, or more than 64. */
export function readKnownText(bytes: Uint8Array, at: number, length: number): string | null {
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
  const newer = known[slot]!;
  if (isSame(newer, bytes, at, length)) return newer;
  const older = known[slot + 1]!;
  const text = isSame(older, bytes, at, length) ? older : readAnew(bytes, at, length);
  known[slot + 1] = newer;
  known[slot] = text;
  return text;
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
