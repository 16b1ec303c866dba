/** Work that is repeated while there is any: nothing starts it again once its owner is closed. */
import { expect, it } from 'vitest';
import { Room } from '../../src/hub/room.ts';
import { DataPushes } from '../../src/node/membership/data-pushes.ts';
import { MemberData } from '../../src/node/membership/member-data.ts';
import { MemberEvents } from '../../src/node/membership/member-events.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { Interval } from '../../src/util/interval.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';
import { OPEN } from '../support/rules.ts';
import { Session } from '../support/session.ts';

const nothing = () => undefined;
const feed = new Feed(new Room('room'), OPEN, nothing);
const who = { connection: 'n-1', user: null, data: null };

it('repeats its work from one timer, pauses and goes on', () => {
  const scheduler = new FakeScheduler();
  let runs = 0;
  const interval = new Interval(scheduler, 100, () => runs++);
  interval.start();
  interval.start();
  scheduler.elapse(200);
  expect(runs).toBe(2);
  interval.pause();
  scheduler.elapse(200);
  expect([runs, scheduler.timers]).toEqual([2, 0]);
  interval.start();
  scheduler.elapse(100);
  expect(runs).toBe(3);
});

it('stays stopped', () => {
  const scheduler = new FakeScheduler();
  const interval = new Interval(scheduler, 100, nothing);
  interval.start();
  interval.stop();
  interval.start();
  expect(scheduler.timers).toBe(0);
});

/** What a node that closes is still told, for each that repeats something: set up with the scheduler, then what comes after `stop`. */
const LATE = {
  'a member joins a large room': (scheduler: FakeScheduler) => {
    const parts = { scheduler, detailedMembers: 1, dataBytesPerSecond: 0 };
    const events = new MemberEvents({
      ...parts,
      smallAgain: nothing,
      version: () => 0,
      addedUp: nothing,
      told: nothing,
      merged: nothing,
    });
    const late = () => void events.add(feed, { change: 'joined', who, count: 2 });
    return { late, stop: () => events.stop() };
  },
  'data of another member changes': (scheduler: FakeScheduler) => {
    const pushes = new DataPushes({ scheduler, dataBytesPerSecond: 0, told: nothing, merged: nothing });
    return { late: () => pushes.add(feed, who), stop: () => pushes.stop() };
  },
  'a member changes its data': (scheduler: FakeScheduler) => {
    const data = new MemberData({ scheduler, write: nothing, merged: nothing });
    const { connection } = new Session();
    return { late: () => data.set(connection, feed, packValue('x')), stop: () => data.stop() };
  },
};

it.each(Object.entries(LATE))('no timer is left behind when, after the node stopped, %s', (_, begin) => {
  const running = new FakeScheduler();
  begin(running).late();
  expect(running.timers).toBe(1);
  const stopped = new FakeScheduler();
  const { late, stop } = begin(stopped);
  stop();
  late();
  expect(stopped.timers).toBe(0);
});
