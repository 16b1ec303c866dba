import { afterEach, describe, expect, it, vi } from 'vitest';
import { randomId } from '../../src/util/ids.ts';

describe('a random id', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    // Files of a worker share modules: the next must not draw from a pool that was filled here.
    vi.resetModules();
  });

  it.each([1, 8, 40])('has exactly %i letters and digits', (length) => {
    for (let i = 0; i < 200; i++) expect(randomId(length)).toMatch(new RegExp(`^[0-9a-z]{${length}}$`));
  });

  it('is another one each time, with no letter favoured', () => {
    const ids = Array.from({ length: 5000 }, () => randomId());
    expect(new Set(ids).size).toBe(ids.length);
    const counts = new Map<string, number>();
    for (const letter of ids.join('')) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(36);
    // 40,000 letters, 1,111 of each expected, with a standard deviation of 33: this is seven of them.
    for (const count of counts.values()) expect(Math.abs(count - 40_000 / 36)).toBeLessThan(231);
  });

  it('passes over bytes that would favour some letters, also where none other are left', async () => {
    const fill = (value: number) => (array: Uint8Array) => array.fill(value);
    const random = vi.spyOn(crypto, 'getRandomValues') as unknown as {
      mockImplementationOnce(fill: (array: Uint8Array) => Uint8Array): typeof random;
    };
    random.mockImplementationOnce(fill(255)).mockImplementationOnce(fill(251));
    // A module of its own, whose pool of bytes is still empty.
    vi.resetModules();
    const fresh = await import('../../src/util/ids.ts');
    expect(fresh.randomId(4)).toBe('zzzz');
  });
});
