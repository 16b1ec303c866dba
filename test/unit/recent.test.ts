import { describe, expect, it } from 'vitest';
import { draftEnvelope, type Envelope, finishEnvelope } from '../../src/backplane/envelope.ts';
import { RecentEnvelopes, type RecentLimits, RecentMemory } from '../../src/node/rooms/recent.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { tinyFrame } from '../support/frames.ts';

const LIMITS: RecentLimits = { messages: 10, ageMs: 60_000, bytes: 1_000_000 };

/** Messages `first` to `last`. */
function envelope(first: number, last: number, { text = 'x', sentAtMs = 0 } = {}): Envelope {
  const frame = { frame: tinyFrame(text), offsetAt: 3, exclude: 0 };
  const drafts = Array.from({ length: last - first + 1 }, () => frame);
  return finishEnvelope(draftEnvelope(drafts, 'node0001', sentAtMs), 'epoch001', first);
}

const ranges = (envelopes: readonly Envelope[]) => envelopes.map(({ first, last }) => [first, last]);

describe('recent envelopes', () => {
  it('reach back to the oldest that is kept', () => {
    const recent = new RecentEnvelopes(LIMITS);
    expect(recent.oldest(0)).toBeNull();
    recent.append(envelope(6, 8), 0);
    recent.append(envelope(9, 9), 0);
    expect(recent.first).toBe(6);
    expect(recent.oldest(0)).toBe(6);
    expect(ranges(recent.after(5))).toEqual([
      [6, 8],
      [9, 9],
    ]);
    expect(ranges(recent.after(7))).toEqual([
      [6, 8],
      [9, 9],
    ]);
    expect(ranges(recent.after(8))).toEqual([[9, 9]]);
    expect(recent.after(9)).toEqual([]);
  });

  it('keep as many messages as history does, or as many more as one envelope holds', () => {
    const recent = new RecentEnvelopes(LIMITS);
    for (let first = 1; first <= 28; first += 4) recent.append(envelope(first, first + 3), 0);
    expect(ranges(recent.after(0))).toEqual([
      [17, 20],
      [21, 24],
      [25, 28],
    ]);
    recent.append(envelope(29, 60), 0);
    expect(ranges(recent.after(0))).toEqual([[29, 60]]);
  });

  it('keep within their bytes, but always the newest envelope', () => {
    const recent = new RecentEnvelopes({ ...LIMITS, bytes: 3000 });
    const text = 'x'.repeat(900);
    for (let offset = 1; offset <= 5; offset++) recent.append(envelope(offset, offset, { text }), 0);
    expect(recent.first).toBe(3);
    recent.append(envelope(6, 6, { text: 'x'.repeat(5000) }), 0);
    expect(ranges(recent.after(0))).toEqual([[6, 6]]);
    recent.append(envelope(7, 7), 0);
    expect(ranges(recent.after(0))).toEqual([[7, 7]]);
  });

  it('say how far back they reach once they are as many as may be kept', () => {
    const recent = new RecentEnvelopes(LIMITS);
    expect(recent.reachMs(0)).toBe(Infinity);
    for (let n = 1; n <= 9; n++) recent.append(envelope(n, n), n * 1_000);
    expect(recent.reachMs(9_000)).toBe(Infinity);
    for (let n = 10; n <= 15; n++) recent.append(envelope(n, n), n * 1_000);
    // Of 15 messages, one a second, the last ten are kept.
    expect(recent.reachMs(15_000)).toBe(9_000);
    expect(recent.reachMs(45_000)).toBe(39_000);
    recent.clear();
    expect(recent.reachMs(45_000)).toBe(Infinity);
  });

  it('say so too once they are as large as may be kept', () => {
    const text = 'x'.repeat(1_000);
    const recent = new RecentEnvelopes({ ...LIMITS, bytes: envelope(1, 1, { text }).bytes.length * 5 });
    for (let n = 1; n <= 5; n++) recent.append(envelope(n, n, { text }), n * 1_000);
    expect(recent.reachMs(5_000)).toBe(Infinity);
    for (let n = 6; n <= 9; n++) recent.append(envelope(n, n, { text }), n * 1_000);
    expect(recent.reachMs(9_000)).toBe(4_000);
  });

  it('count what left before a client could have come back', () => {
    const memory = new RecentMemory();
    const recent = new RecentEnvelopes(LIMITS, memory);
    for (let n = 1; n <= 12; n++) recent.append(envelope(n, n), n * 100);
    expect(memory.trimmedEarly).toBe(2);
    recent.append(envelope(13, 14), 60_000);
    expect(memory.trimmedEarly).toBe(2);
  });

  it('give way where all rooms together have too much, and estimate from the rest', () => {
    const text = 'x'.repeat(1_000);
    const size = envelope(1, 1, { text }).bytes.length;
    const memory = new RecentMemory(size * 300);
    const limits = { ...LIMITS, messages: 1_000, bytes: 100_000_000 };
    const [quiet, busy] = [new RecentEnvelopes(limits, memory), new RecentEnvelopes(limits, memory)];
    for (let n = 1; n <= 150; n++) quiet.append(envelope(n, n, { text }), n);
    for (let n = 1; n <= 150; n++) busy.append(envelope(n, n, { text }), n);
    expect(memory.bytes).toBe(size * 300);
    expect(memory.isCrowded).toBe(false);
    for (let n = 151; n <= 500; n++) busy.append(envelope(n, n, { text }), n * 10);
    expect(memory.bytes).toBeLessThanOrEqual(size * 301);
    expect(quiet.first).toBe(1);
    expect(busy.first).toBeGreaterThan(300);
    // Nothing has left the history: it keeps a thousand.
    expect(memory.trimmedEarly).toBe(0);
    const kept = 500 - busy.first! + 1;
    expect(busy.reachMs(5_000)).toBeCloseTo((5_000 - busy.first! * 10) / (kept / 1_000), 6);
    busy.release();
    expect(memory.bytes).toBe(size * 150);
  });

  it('do not outlive their age', () => {
    const recent = new RecentEnvelopes(LIMITS);
    recent.append(envelope(1, 1), 0);
    recent.append(envelope(2, 2), 50_000);
    expect(recent.oldest(59_999)).toBe(1);
    expect(recent.oldest(60_000)).toBe(2);
    expect(recent.oldest(109_999)).toBe(2);
    expect(recent.oldest(110_000)).toBeNull();
    expect(recent.first).toBeNull();
  });

  it('take of older ones what has no hole', () => {
    const recent = new RecentEnvelopes(LIMITS);
    recent.append(envelope(9, 9), 0);
    recent.prepend([envelope(1, 2), envelope(4, 5), envelope(6, 8)], 9, new FakeClock());
    expect(recent.first).toBe(4);
  });

  it('take older ones in front, where they end where these begin', () => {
    const clock = new FakeClock();
    const sentAtMs = clock.wallMs();
    const recent = new RecentEnvelopes(LIMITS);
    recent.append(envelope(9, 9), clock.nowMs());
    recent.prepend([envelope(3, 4, { sentAtMs })], 9, clock);
    expect(recent.first).toBe(9);
    recent.prepend([], 9, clock);
    const read = [envelope(5, 6, { sentAtMs }), envelope(7, 8, { sentAtMs }), envelope(9, 9, { sentAtMs })];
    recent.prepend(read, 9, clock);
    expect(ranges(recent.after(0))).toEqual([
      [5, 6],
      [7, 8],
      [9, 9],
    ]);
    const empty = new RecentEnvelopes(LIMITS);
    empty.prepend(read.slice(0, 2), 9, clock);
    expect(empty.first).toBeNull();
    empty.prepend(read, 9, clock);
    expect(empty.first).toBe(5);
  });

  it('age older ones by when they were sent, and no less where the sender is ahead', () => {
    const clock = new FakeClock();
    const recent = new RecentEnvelopes(LIMITS);
    recent.prepend([envelope(1, 1, { sentAtMs: clock.wallMs() - 40_000 })], 1, clock);
    expect(recent.oldest(clock.nowMs() + 19_999)).toBe(1);
    expect(recent.oldest(clock.nowMs() + 20_001)).toBeNull();
    recent.prepend([envelope(1, 1, { sentAtMs: clock.wallMs() + 3_600_000 })], 1, clock);
    expect(recent.oldest(clock.nowMs() + 59_999)).toBe(1);
    expect(recent.oldest(clock.nowMs() + 60_000)).toBeNull();
  });
});
