import { describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { Drain } from '../../src/node/drain.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';

/** What a drain touches of a connection. */
class Guest {
  readonly pushed: ServerFrame[] = [];
  awaiting = 0;
  isOpen = true;
  closedWith: number | null = null;

  push(frame: ServerFrame): void {
    this.pushed.push(frame);
  }

  close({ code }: { code: number }): void {
    this.isOpen = false;
    this.closedWith = code;
  }
}

function guests(count: number): Guest[] {
  return Array.from({ length: count }, () => new Guest());
}

function drainOf(connections: Guest[], windowMs: number): Drain {
  return new Drain(connections as unknown as Connection[], 0, { windowMs, random: () => 0.5 });
}

describe('a drain', () => {
  it('says goodbye at an even pace over its window', () => {
    const all = guests(2000);
    const drain = drainOf(all, 10_000);
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 100) {
      drain.step(nowMs);
      const gone = all.filter(({ closedWith }) => closedWith !== null).length;
      expect(Math.abs(gone - nowMs / 5)).toBeLessThanOrEqual(1);
    }
    expect(drain.step(10_001)).toBe(true);
    expect(all.every(({ closedWith }) => closedWith === 1012)).toBe(true);
  });

  it('tells each connection how long to wait before it closes it', () => {
    const [guest] = guests(1);
    drainOf([guest!], 4000).step(1);
    expect(guest!.pushed).toEqual([['bye', 1012, { reconnectAfterMs: 200 }]]);
    expect(guest!.closedWith).toBe(1012);
  });

  it('needs less than its window for few connections, and none of it when it is 0', () => {
    const few = guests(3);
    const drain = drainOf(few, 10_000);
    expect(drain.step(10)).toBe(false);
    expect(drain.step(31)).toBe(true);
    expect(drainOf(guests(1000), 0).step(0)).toBe(true);
    expect(drainOf([], 10_000).step(0)).toBe(true);
  });

  it('waits for the outcome of what a connection published, but not for ever', () => {
    const [settled, stuck] = guests(2) as [Guest, Guest];
    settled.awaiting = 1;
    stuck.awaiting = 1;
    const drain = drainOf([settled, stuck], 0);
    expect(drain.step(0)).toBe(false);
    expect([settled.closedWith, stuck.closedWith]).toEqual([null, null]);
    settled.awaiting = 0;
    expect(drain.step(100)).toBe(false);
    expect([settled.closedWith, stuck.closedWith]).toEqual([1012, null]);
    expect(drain.step(2000)).toBe(true);
    expect(stuck.closedWith).toBe(1012);
  });
});
