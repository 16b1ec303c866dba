/** The clock of `roomcast/testing`: time passes when the test says so. */
import { afterEach, describe, expect, it } from 'vitest';
import { TestClock } from '../../src/testing/test-clock.ts';

const START_MS = Date.UTC(2031, 4, 6);
const clocks: TestClock[] = [];

function clockOf(runs = false): TestClock {
  const clock = new TestClock({ startMs: START_MS, runs, random: () => 0.25 });
  clocks.push(clock);
  return clock;
}

afterEach(async () => {
  for (const clock of clocks.splice(0)) await clock.stop();
});

describe('a test clock', () => {
  it('stands still until it is moved', async () => {
    const clock = clockOf();
    await clock.settled();
    expect([clock.nowMs(), clock.wallMs(), clock.random()]).toEqual([0, START_MS, 0.25]);
    await clock.advance(1500);
    expect([clock.nowMs(), clock.wallMs()]).toEqual([1500, START_MS + 1500]);
  });

  it('fires timers in their order, each at its own moment', async () => {
    const clock = clockOf();
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.nowMs()]);
    clock.after(30, note('late'));
    clock.after(10, note('first'));
    clock.every(10, note('again'));
    clock.after(10, () => clock.after(5, note('inner')));
    const gone = clock.after(20, note('cancelled'));
    gone.cancel();
    await clock.advance(25);
    expect(fired).toEqual([
      ['first', 10],
      ['again', 10],
      ['inner', 15],
      ['again', 20],
    ]);
    await clock.advance(5);
    expect(fired.slice(4)).toEqual([
      ['late', 30],
      ['again', 30],
    ]);
    expect(clock.timerCount).toBe(1);
  });

  it('lets what a timer began arrive before the next one', async () => {
    const clock = clockOf();
    const log: string[] = [];
    clock.after(10, () => {
      clock.atEndOfTurn(() => clock.atEndOfTurn(() => log.push('arrived')));
    });
    clock.after(11, () => log.push('next'));
    await clock.advance(20);
    expect(log).toEqual(['arrived', 'next']);
  });

  it('is not moved twice at once, and not back', async () => {
    const clock = clockOf();
    const at: number[] = [];
    clock.after(15, () => at.push(clock.nowMs()));
    await Promise.all([clock.advance(10), clock.advance(10)]);
    expect([clock.nowMs(), at]).toEqual([20, [15]]);
    expect(() => clock.advance(-1)).toThrow('time cannot be moved by -1 ms');
    expect(() => clock.advance(Number.NaN)).toThrow(RangeError);
  });

  it('hands on what a timer throws, and goes on', async () => {
    const clock = clockOf();
    clock.after(1, () => {
      throw new Error('of the test');
    });
    await expect(clock.advance(5)).rejects.toThrow('of the test');
    await clock.advance(5);
    expect(clock.nowMs()).toBe(6);
  });

  it('is settled when work that was begun is done', async () => {
    const clock = clockOf();
    const log: string[] = [];
    let finish: () => void = () => expect.unreachable();
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    void clock.track(work).then(() => log.push('done'));
    const settled = clock.settled().then(() => log.push('settled'));
    finish();
    await settled;
    expect(log).toEqual(['done', 'settled']);
  });

  it('does not wait for ever where there is no rest', async () => {
    const clock = new TestClock({ startMs: 0, runs: false, random: Math.random, settleLimitMs: 5 });
    let isOver = false;
    const again = () => isOver || clock.atEndOfTurn(again);
    again();
    await expect(clock.settled()).rejects.toThrow('does not come to rest');
    isOver = true;
  });

  it('fires by itself if it runs, and ahead of that if it is moved', async () => {
    const clock = clockOf(true);
    await new Promise<void>((resolve) => clock.after(1, resolve));
    const before = clock.nowMs();
    const far = new Promise<void>((resolve) => clock.after(90 * 24 * 3_600_000, resolve));
    await clock.advance(90 * 24 * 3_600_000);
    await far;
    expect(before).toBeGreaterThan(0);
    expect(clock.timerCount).toBe(0);
  });
});
