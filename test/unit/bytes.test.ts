import { describe, expect, it } from 'vitest';
import {
  concatBytes,
  readAscii,
  readUint32,
  readUint64,
  writeAscii,
  writeUint32,
  writeUint64,
} from '../../src/util/bytes.ts';

describe('integers', () => {
  it.each([0, 1, 255, 256, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])('of 32 bits are big-endian: %i', (value) => {
    const bytes = new Uint8Array(6).fill(0xee);
    writeUint32(bytes, value, 1);
    expect(Buffer.from(bytes).readUInt32BE(1)).toBe(value);
    expect(readUint32(bytes, 1)).toBe(value);
    expect([bytes[0], bytes[5]]).toEqual([0xee, 0xee]);
  });

  it.each([
    0,
    1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 32 + 2 ** 31,
    1_700_000_000_123,
    Number.MAX_SAFE_INTEGER,
  ])('of 53 bits take eight big-endian bytes: %i', (value) => {
    const bytes = new Uint8Array(10).fill(0xee);
    writeUint64(bytes, value, 1);
    expect(Buffer.from(bytes).readBigUInt64BE(1)).toBe(BigInt(value));
    expect(readUint64(bytes, 1)).toBe(value);
    expect([bytes[0], bytes[9]]).toEqual([0xee, 0xee]);
  });
});

describe('ASCII', () => {
  it('is read where it was written', () => {
    const bytes = new Uint8Array(10);
    writeAscii(bytes, 'k3v9x0ab', 1);
    expect(Buffer.from(bytes).toString('latin1')).toBe('\0k3v9x0ab\0');
    expect(readAscii(bytes, 1, 8)).toBe('k3v9x0ab');
    expect(readAscii(bytes, 1, 0)).toBe('');
  });
});

describe('concatBytes', () => {
  it('puts arrays end to end, views too', () => {
    const parts = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(9, 3, 4, 9).subarray(1, 3)];
    expect(concatBytes(parts)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(concatBytes([])).toEqual(new Uint8Array(0));
  });

  it('returns a single array as it is', () => {
    const only = Uint8Array.of(1);
    expect(concatBytes([only])).toBe(only);
  });
});
