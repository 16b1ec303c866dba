import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../src/util/backoff.ts';

const range = (attempt: number) => {
  const at = (random: number) => backoffMs(attempt, { baseMs: 100, capMs: 3000, random: () => random });
  return [at(0), at(0.5), at(1)];
};

describe('a backoff', () => {
  it('waits between half of the step and all of it, and each step is twice the one before', () => {
    expect(range(0)).toEqual([50, 75, 100]);
    expect(range(1)).toEqual([100, 150, 200]);
    expect(range(4)).toEqual([800, 1200, 1600]);
  });

  it('never waits longer than its cap, however often it failed', () => {
    for (const attempt of [5, 31, 1100, Number.MAX_SAFE_INTEGER]) {
      expect(range(attempt)).toEqual([1500, 2250, 3000]);
    }
  });

  it('spreads those that were cut off together', () => {
    const waits = Array.from({ length: 1000 }, () => backoffMs(3, { baseMs: 100, capMs: 3000 }));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(400);
    expect(Math.max(...waits)).toBeLessThan(800);
    expect(new Set(waits.map((wait) => Math.floor(wait / 100))).size).toBe(4);
  });
});
