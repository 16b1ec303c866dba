import { describe, expect, it } from 'vitest';
import { BytePages } from '../../src/connection/byte-pages.ts';

/** Keeps copies of what a reader reuses. */
function kept(sizes: readonly number[]): Uint8Array[] {
  const pages = new BytePages();
  const buffer = new Uint8Array(Math.max(...sizes));
  return sizes.map((size, i) => pages.copy(buffer.fill(i).subarray(0, size)));
}

const buffers = (copies: readonly Uint8Array[]) => new Set(copies.map(({ buffer }) => buffer));

describe('copies of messages', () => {
  it('keep what they were copied from, whatever its size', () => {
    const sizes = [1, 511, 2, 513, 0, 8192, 8193, 70_000, 3];
    for (const [i, copy] of kept(sizes).entries()) {
      expect([copy.length, copy.every((byte) => byte === i)]).toEqual([sizes[i], true]);
    }
  });

  it('share memory: a thousand small ones have few buffers, and one alone has a small one', () => {
    expect(buffers(kept(Array.from({ length: 1000 }, () => 60))).size).toBeLessThan(10);
    expect(kept([13])[0]!.buffer.byteLength).toBe(512);
  });

  it('take memory of their own where they are long, so that little of a page is wasted', () => {
    const copies = kept([10_000, 10, 10_000, 10]);
    expect(buffers(copies).size).toBe(3);
    expect(copies[0]!.buffer.byteLength).toBe(10_000);
  });
});
