import { describe, expect, it } from 'vitest';
import { type Beating, Heartbeats } from '../../src/connection/heartbeats.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';

/** One interval is so many beats: as many as there are slots. */
const BEATS = 64;
const INTERVAL_MS = 6400;

class Peer implements Beating {
  heartbeatSlot = -1;
  heartbeatIndex = 0;
  heardAtBeat = 0;
  pings = 0;
  silences = 0;
  whenSilent: () => void = () => undefined;

  ping(): void {
    this.pings++;
  }

  silent(): void {
    this.silences++;
    this.whenSilent();
  }
}

function start(peers: number) {
  const clock = new FakeScheduler();
  const roundTrips: number[] = [];
  const heartbeats = new Heartbeats<Peer>({
    intervalMs: INTERVAL_MS,
    scheduler: clock,
    onRoundTrip: (milliseconds) => roundTrips.push(milliseconds),
  });
  const all = Array.from({ length: peers }, () => new Peer());
  for (const peer of all) heartbeats.add(peer);
  const beat = (beats: number) => {
    for (let i = 0; i < beats; i++) heartbeats.beat();
  };
  return { heartbeats, clock, roundTrips, all, beat };
}

describe('heartbeats', () => {
  it('ping each connection once an interval, and equally many at each beat', () => {
    const { heartbeats, all } = start(BEATS * 10);
    let pinged = 0;
    for (let i = 0; i < BEATS; i++) {
      heartbeats.beat();
      const now = all.reduce((sum, { pings }) => sum + pings, 0);
      expect(now - pinged).toBe(10);
      pinged = now;
    }
    expect(all.every(({ pings }) => pings === 1)).toBe(true);
  });

  it('measure round trips from the ping of the connection that answers', () => {
    const { heartbeats, clock, roundTrips, all, beat } = start(2);
    heartbeats.ponged(all[0]!);
    expect(roundTrips).toEqual([]);
    beat(1);
    clock.advance(100);
    beat(1);
    clock.advance(7);
    heartbeats.ponged(all[1]!);
    heartbeats.ponged(all[0]!);
    expect(roundTrips.map(Math.round)).toEqual([7, 107]);
  });

  it('find a connection silent after two intervals, and again after each further one', () => {
    const { all, beat } = start(1);
    const [peer] = all as [Peer];
    beat(2 * BEATS);
    expect(peer).toMatchObject({ pings: 2, silences: 0 });
    beat(1);
    expect(peer).toMatchObject({ pings: 2, silences: 1 });
    beat(BEATS - 1);
    expect(peer.silences).toBe(1);
    beat(1);
    expect(peer.silences).toBe(2);
  });

  it.each(['heard', 'ponged'] as const)('do not find silent who was %s in between', (what) => {
    const { heartbeats, all, beat } = start(3);
    for (let i = 0; i < 10; i++) {
      beat(2 * BEATS - 1);
      heartbeats[what](all[1]!);
    }
    expect(all.map(({ silences }) => silences > 0)).toEqual([true, false, true]);
  });

  it('go on with the others of a slot when a silent one is removed while they are walked', () => {
    const { heartbeats, all, beat } = start(BEATS * 5);
    const slot = all.filter((_, at) => at % BEATS === 0);
    for (const peer of slot) peer.whenSilent = () => heartbeats.remove(peer);
    heartbeats.remove(all[1]!);
    beat(2 * BEATS);
    heartbeats.heard(slot[3]!);
    beat(1);
    expect(slot.map(({ silences }) => silences)).toEqual([1, 1, 1, 0, 1]);
    beat(BEATS);
    expect(slot.map(({ silences, pings }) => [silences, pings])).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
      [0, 4],
      [1, 2],
    ]);
  });

  it('leave alone who was removed by another one while they are walked, or twice', () => {
    const { heartbeats, all, beat } = start(BEATS + 1);
    const [first, last] = [all[0]!, all[BEATS]!];
    first.whenSilent = () => {
      heartbeats.remove(last);
      heartbeats.remove(last);
    };
    beat(2 * BEATS + 1);
    expect(first.silences).toBe(1);
    expect(last).toMatchObject({ silences: 0, pings: 2 });
  });
});

describe('the timer of heartbeats', () => {
  it('beats so that an interval is what was asked for, until it is stopped', () => {
    const { heartbeats, clock, all } = start(3);
    heartbeats.start();
    heartbeats.start();
    clock.elapse(INTERVAL_MS);
    expect(all.map(({ pings }) => pings)).toEqual([1, 1, 1]);
    heartbeats.stop();
    clock.elapse(INTERVAL_MS * 5);
    expect(all.map(({ pings }) => pings)).toEqual([1, 1, 1]);
  });
});
