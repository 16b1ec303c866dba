/** Integers and short ASCII in byte arrays. Plain functions: they run in browsers too. */
import { readInterned } from './interned-text.ts';

export type ByteView = Uint8Array;

/** Reads a big-endian uint64 that fits 53 bits. */
export function readUint64(bytes: ByteView, at: number): number {
  return readUint32(bytes, at) * 0x1_0000_0000 + readUint32(bytes, at + 4);
}

/** Writes a non-negative integer of at most 53 bits as a big-endian uint64. */
export function writeUint64(bytes: ByteView, value: number, at: number): void {
  writeUint32(bytes, Math.floor(value / 0x1_0000_0000), at);
  writeUint32(bytes, value >>> 0, at + 4);
}

export function readUint32(bytes: ByteView, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function writeUint32(bytes: ByteView, value: number, at: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function readAscii(bytes: ByteView, at: number, length: number): string {
  const known = readInterned(bytes, at, length);
  if (known !== null) return known;
  let text = '';
  for (let i = at; i < at + length; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

export function writeAscii(bytes: ByteView, text: string, at: number): void {
  // Looked up once: where code meets many kinds of strings, their length is a slow property (150 ns for a
  // name of 12).
  const { length } = text;
  for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** Whether these bytes are at `at`. */
export function startsWith(bytes: ByteView, at: number, prefix: ByteView): boolean {
  const { length } = prefix;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

/** Concatenates byte arrays. A single array is returned as it is. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
