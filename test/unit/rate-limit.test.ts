import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateLimit } from '../../src/util/rate-limit.ts';

/** Sends as many events as pass at one moment, at most `most`. Returns the new state and how many passed. */
function drain(limit: RateLimit, paidUntilMs: number, nowMs: number, most = 10_000): [number, number] {
  let state = paidUntilMs;
  for (let passed = 0; passed < most; passed++) {
    const next = limit.take(state, nowMs);
    if (next === -1) return [state, passed];
    state = next;
  }
  return [state, most];
}

describe('a rate limit', () => {
  it('lets a burst through at once, and another one after a pause', () => {
    const limit = new RateLimit(10, 25);
    const [paidUntilMs, first] = drain(limit, 0, 5000);
    expect(first).toBe(25);
    const [later, second] = drain(limit, paidUntilMs, 7500);
    expect(second).toBe(25);
    expect(drain(limit, later, 7700)[1]).toBe(2);
  });

  it('lets the steady rate through for ever after a burst', () => {
    const limit = new RateLimit(100, 500);
    let [state] = drain(limit, 0, 1);
    for (let n = 1; n <= 1000; n++) {
      const [next, passed] = drain(limit, state, 1 + n * 10);
      expect(passed).toBe(1);
      state = next;
    }
  });

  it('lets everything through at a rate of 0', () => {
    expect(drain(new RateLimit(0, 0), 0, 1)[1]).toBe(10_000);
    expect(drain(new RateLimit(0, 5), 0, 1)[1]).toBe(10_000);
  });

  it('lets exactly the burst through at any rate and at any moment, whatever the rounding', () => {
    const rate = fc.integer({ min: 1, max: 100_000 });
    const burst = fc.integer({ min: 1, max: 500 });
    const now = fc.double({ min: 0.001, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(rate, burst, now, (perSecond, most, nowMs) => {
        expect(drain(new RateLimit(perSecond, most), 0, nowMs)[1]).toBe(most);
      }),
      { numRuns: 2000 },
    );
  });

  it('says how long to wait, right to the millisecond', () => {
    const rate = fc.integer({ min: 1, max: 500 });
    const now = fc.double({ min: 0.001, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(rate, fc.integer({ min: 1, max: 20 }), now, (perSecond, burst, nowMs) => {
        const limit = new RateLimit(perSecond, burst);
        const [state] = drain(limit, 0, nowMs);
        const waitMs = limit.retryAfterMs(state, nowMs);
        expect(waitMs).toBe(Math.ceil(1000 / perSecond));
        expect(limit.take(state, nowMs + waitMs)).not.toBe(-1);
        expect(limit.take(state, nowMs + waitMs - 1)).toBe(-1);
      }),
      { numRuns: 2000 },
    );
  });
});
