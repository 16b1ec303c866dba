/**
 * UTF-8 in byte arrays. Rooms, ids and keys are short ASCII, so plain loops handle that; the platform's
 * coders, whose calls cost more than such strings, handle the rest.
 */
import { readInterned } from '../../util/interned-text.ts';

// `ignoreBOM`: a U+FEFF at the start is part of the text and must stay.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

// Measured on Node 20: a call of the platform's coders costs 100 to 160 ns whatever the length, a loop 3 ns
// for each character.
const SHORT_WRITE_CHARS = 32;

/**
 * Whether the bytes from `at` up to, not including, `end` are well-formed UTF-8: no overlong forms, no
 * surrogates.
 */
export function isUtf8(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const lead = bytes[at++]!;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const second = at < end ? bytes[at++]! : 0;
    if ((second & 0xc0) !== 0x80) return false;
    if (lead < 0xe0) continue;
    if (!secondFits(lead, second)) return false;
    if (at >= end || (bytes[at++]! & 0xc0) !== 0x80) return false;
    if (lead < 0xf0) continue;
    if (at >= end || (bytes[at++]! & 0xc0) !== 0x80) return false;
  }
  return true;
}

/**
 * Some lead bytes restrict the byte that follows: against overlong forms, surrogates and values above
 * U+10FFFF.
 */
function secondFits(lead: number, second: number): boolean {
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second < 0x90;
  return true;
}

/** The bytes of a string. A surrogate without a partner becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Reads well-formed UTF-8. */
export function readUtf8(bytes: Uint8Array, at: number, length: number): string {
  return readInterned(bytes, at, length) ?? decoder.decode(bytes.subarray(at, at + length));
}

/**
 * Writes a string and returns where it ends. A lone surrogate becomes U+FFFD. The array must have room
 * for three bytes per UTF-16 unit, or for exactly `utf8Length(text)`.
 */
export function writeUtf8(bytes: Uint8Array, text: string, at: number): number {
  const { length } = text;
  if (length > SHORT_WRITE_CHARS) return at + encoder.encodeInto(text, bytes.subarray(at)).written;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return at + encoder.encodeInto(text, bytes.subarray(at)).written;
    bytes[at + i] = unit;
  }
  return at + length;
}
