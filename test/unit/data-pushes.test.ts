/** What members are told of each other's data: within a budget, the latest of each, and nobody is left out. */
import { expect, it } from 'vitest';
import { Room } from '../../src/hub/room.ts';
import { DataPushes } from '../../src/node/membership/data-pushes.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import { msgpackCodec } from '../../src/protocol/codec.ts';
import type { PresenceFrame, PushFrame } from '../../src/protocol/frames.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';
import { OPEN } from '../support/rules.ts';

class Case {
  readonly scheduler = new FakeScheduler();
  readonly feed = new Feed(new Room('room'), OPEN, () => undefined);
  readonly pushes: DataPushes;
  told = 0;
  merged = 0;

  constructor(dataBytesPerSecond: number) {
    this.pushes = new DataPushes({
      scheduler: this.scheduler,
      dataBytesPerSecond,
      told: (changes) => {
        this.told += changes;
      },
      merged: () => this.merged++,
    });
  }

  change(members: number, data: unknown): void {
    for (let n = 0; n < members; n++) this.pushes.add(this.feed, { connection: `n-${n}`, user: null, data });
    this.pushes.flush();
  }

  /** What left since the last call, by WebSocket message. */
  sent(): PresenceFrame[][] {
    return (this.feed.takePending() ?? []) as unknown as PresenceFrame[][];
  }
}

const bytesOf = (frames: readonly PushFrame[]) =>
  frames.reduce((sum, frame) => sum + msgpackCodec.encode(frame).length, 0);

it('the first change of a quiet room leaves at once, and what comes together leaves together', () => {
  const the = new Case(0);
  the.change(3, 'a');
  expect(the.sent().map((frames) => frames.map(([, , who]) => who.connection))).toEqual([
    ['n-0', 'n-1', 'n-2'],
  ]);
});

it('the changes of a busy room leave once in 100 ms, the latest of each member', () => {
  const the = new Case(0);
  the.change(1, 'a');
  the.sent();
  for (const data of ['b', 'c', 'd']) the.change(2, data);
  expect(the.sent()).toEqual([]);
  the.scheduler.elapse(100);
  expect(the.sent().map((frames) => frames.map(([, , who]) => who.data))).toEqual([['d', 'd']]);
  expect(the.merged).toBe(4);
  the.scheduler.elapse(300);
  the.change(1, 'e');
  expect(the.sent()).toHaveLength(1);
});

it('what waits is corrected by what a room was found to be', () => {
  const the = new Case(0);
  the.change(1, 'a');
  the.sent();
  the.change(3, 'older');
  the.pushes.correct(the.feed, (connection) => {
    if (connection === 'n-0') return undefined;
    return connection === 'n-1' ? { connection, user: null } : { connection, user: null, data: 'older' };
  });
  the.scheduler.elapse(100);
  expect(the.sent().map((frames) => frames.map(([, , who]) => who))).toEqual([
    [
      { connection: 'n-1', user: null },
      { connection: 'n-2', user: null, data: 'older' },
    ],
  ]);
});

it('a member that is told of in another way is not told of again', () => {
  const the = new Case(0);
  the.change(1, 'a');
  the.sent();
  the.change(3, 'b');
  the.pushes.drop(the.feed, 'n-1');
  the.scheduler.elapse(100);
  expect(the.sent()[0]!.map(([, , who]) => who.connection)).toEqual(['n-0', 'n-2']);
});

it('the frames of a large change leave in messages of about 64 KiB', () => {
  const the = new Case(0);
  the.change(1_000, 'x'.repeat(500));
  const sent = the.sent();
  expect(sent.length).toBeGreaterThan(5);
  expect(Math.max(...sent.map(bytesOf))).toBeLessThan(70_000);
});

it('a member is sent no more than the budget, in turns, and everyone comes up with the latest', () => {
  const perSecond = 64 * 1024;
  const the = new Case(perSecond);
  const seen = new Map<string, number>();
  let bytes = 0;
  let longestWait = 0;
  const take = (tick: number) => {
    for (const frames of the.sent()) {
      bytes += bytesOf(frames);
      for (const [, , { connection, data }] of frames) {
        longestWait = Math.max(longestWait, tick - (seen.get(connection) ?? 0));
        seen.set(connection, data as number);
      }
    }
  };
  // A thousand members, ten times a second for ten seconds.
  for (let tick = 1; tick <= 100; tick++) {
    the.change(1_000, tick);
    take(tick);
    the.scheduler.elapse(100);
    take(tick);
  }
  expect(bytes).toBeLessThanOrEqual(perSecond * 11 + 200);
  expect(bytes).toBeGreaterThan(perSecond * 9);
  const round = bytesOf([['presence', 'room', { connection: 'n-999', user: null, data: 100 }]]) * 1_000;
  expect(longestWait).toBeLessThanOrEqual(Math.ceil((round / perSecond) * 10) + 2);
  for (let tick = 0; tick < 20; tick++) {
    the.scheduler.elapse(100);
    take(100);
  }
  expect(seen.size).toBe(1_000);
  expect(new Set(seen.values())).toEqual(new Set([100]));
});
