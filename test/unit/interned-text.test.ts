import { describe, expect, it } from 'vitest';
import { readInterned } from '../../src/util/interned-text.ts';

const bytesOf = (text: string) => Buffer.from(`<${text}>`);
const read = (text: string) => readInterned(bytesOf(text), 1, Buffer.byteLength(text));

describe('interned text', () => {
  it('is what the bytes say, the first time and every other', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `room:${i * 7919}`);
    for (let round = 0; round < 3; round++) {
      for (const name of names) if (read(name) !== name) expect(read(name)).toBe(name);
    }
  });

  it('is right also where names take turns in the same place', () => {
    const names = Array.from({ length: 12_288 }, (_, i) => i.toString(36));
    for (const name of [...names, ...names.toReversed(), ...names])
      if (read(name) !== name) expect(read(name)).toBe(name);
  });

  it.each([
    '',
    '0',
    '42',
    '0042',
    '__proto__',
    'constructor',
    'a\u0000b',
    'x'.repeat(16),
    'y'.repeat(17),
    'z'.repeat(64),
  ])('may be %j', (text) => {
    expect([read(text), read(text), read(text)]).toEqual([text, text, text]);
  });

  it('is null for what is not ASCII, and for what is long', () => {
    expect(read('é')).toBeNull();
    expect(readInterned(Uint8Array.of(0x41, 0x80), 0, 2)).toBeNull();
    expect(read('z'.repeat(65))).toBeNull();
  });
});
