/** Small readers of values that `scanValue` has accepted. They trust what they read. */
import { readUint32 } from '../../util/bytes.ts';
import { isTextLead } from './scanner.ts';
import { readUtf8 } from './utf8.ts';

const scratch = new DataView(new ArrayBuffer(8));

/** How many elements the array at `at` has; -1 if there is no array, or its header is cut off. */
export function arrayCount(bytes: Uint8Array, at: number, end: number): number {
  const byte = bytes[at]!;
  if ((byte & 0xf0) === 0x90) return byte & 0x0f;
  if (byte === 0xdc && at + 3 <= end) return (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (byte === 0xdd && at + 5 <= end) return readUint32(bytes, at + 1);
  return -1;
}

/** How many entries the map at `at` has; -1 if there is no map. */
export function mapCount(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  if ((byte & 0xf0) === 0x80) return byte & 0x0f;
  if (byte === 0xde) return (bytes[at + 1]! << 8) | bytes[at + 2]!;
  return byte === 0xdf ? readUint32(bytes, at + 1) : -1;
}

/** Where the first element of the array or map at `at` starts. */
export function elementsAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  if (byte < 0xa0) return at + 1;
  return byte === 0xdc || byte === 0xde ? at + 3 : at + 5;
}

/** A string, number, boolean or null; `undefined` for any other type. */
export function readScalar(bytes: Uint8Array, at: number): string | number | boolean | null | undefined {
  const byte = bytes[at]!;
  if (isTextLead(byte)) return readText(bytes, at);
  if (byte === 0xc0) return null;
  if (byte === 0xc2) return false;
  if (byte === 0xc3) return true;
  return readNumber(bytes, at);
}

function readText(bytes: Uint8Array, at: number): string {
  const byte = bytes[at]!;
  if (byte < 0xc0) return readUtf8(bytes, at + 1, byte & 0x1f);
  if (byte === 0xd9) return readUtf8(bytes, at + 2, bytes[at + 1]!);
  if (byte === 0xda) return readUtf8(bytes, at + 3, (bytes[at + 1]! << 8) | bytes[at + 2]!);
  return readUtf8(bytes, at + 5, readUint32(bytes, at + 1));
}

function readNumber(bytes: Uint8Array, at: number): number | undefined {
  const byte = bytes[at]!;
  if (byte < 0x80) return byte;
  if (byte >= 0xe0) return byte - 0x100;
  if (byte < 0xca || byte > 0xd3) return undefined;
  for (let i = 0; i < 8; i++) scratch.setUint8(i, bytes[at + 1 + i] ?? 0);
  switch (byte) {
    case 0xca:
      return scratch.getFloat32(0);
    case 0xcb:
      return scratch.getFloat64(0);
    case 0xcc:
      return scratch.getUint8(0);
    case 0xcd:
      return scratch.getUint16(0);
    case 0xce:
      return scratch.getUint32(0);
    case 0xcf:
      return scratch.getUint32(0) * 0x1_0000_0000 + scratch.getUint32(4);
    case 0xd0:
      return scratch.getInt8(0);
    case 0xd1:
      return scratch.getInt16(0);
    case 0xd2:
      return scratch.getInt32(0);
    default:
      return scratch.getInt32(0) * 0x1_0000_0000 + scratch.getUint32(4);
  }
}
