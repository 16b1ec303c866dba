/** What a member's data costs: one write in a window of 100 ms, and always the latest. */
import { expect, it } from 'vitest';
import { Room } from '../../src/hub/room.ts';
import { MemberData } from '../../src/node/membership/member-data.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import { packValue, unpackValue } from '../../src/protocol/msgpack/values.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';
import { Random } from '../support/random.ts';
import { OPEN } from '../support/rules.ts';
import { Session } from '../support/session.ts';

class Case {
  readonly scheduler = new FakeScheduler();
  readonly feed = new Feed(new Room('room'), OPEN, () => undefined);
  readonly writes: { readonly user: number; readonly atMs: number; readonly data: unknown }[] = [];
  readonly members = Array.from({ length: 20 }, () => new Session().connection);
  merged = 0;
  readonly data = new MemberData({
    scheduler: this.scheduler,
    write: (connection, feed) => {
      const data = this.data.get(connection, feed);
      const user = this.members.indexOf(connection);
      const atMs = this.scheduler.nowMs();
      this.writes.push({ user, atMs, data: data === null ? null : unpackValue(data) });
    },
    merged: () => this.merged++,
  });

  set(user: number, data: unknown): void {
    this.data.set(this.members[user]!, this.feed, data === null ? null : packValue(data));
  }

  of(user: number): unknown[] {
    return this.writes.filter((write) => write.user === user).map(({ data }) => data);
  }
}

it('the first change is written at once, and of those that follow soon the latest', () => {
  const the = new Case();
  the.set(0, 'a');
  expect(the.of(0)).toEqual(['a']);
  for (const data of ['b', 'c', 'd']) the.set(0, data);
  the.scheduler.elapse(300);
  expect(the.of(0)).toEqual(['a', 'd']);
  expect(the.merged).toBe(2);
});

it('what is the same as before is not written, and null is written once', () => {
  const the = new Case();
  for (const data of [null, 'a', 'a']) the.set(0, data);
  the.scheduler.elapse(300);
  the.set(0, 'a');
  the.set(0, null);
  the.scheduler.elapse(300);
  the.set(0, null);
  the.scheduler.elapse(300);
  expect(the.of(0)).toEqual(['a', null]);
});

it('what a member brings with its join counts as written', () => {
  const the = new Case();
  the.data.bring(the.members[0]!, the.feed, packValue('a'));
  the.set(0, 'b');
  expect(the.of(0)).toEqual([]);
  the.scheduler.elapse(300);
  expect(the.of(0)).toEqual(['b']);
});

it('nothing is written for a member that left', () => {
  const the = new Case();
  the.set(0, 'a');
  the.set(0, 'b');
  the.data.forget(the.members[0]!, the.feed);
  the.scheduler.elapse(300);
  expect(the.of(0)).toEqual(['a']);
  expect(the.data.get(the.members[0]!, the.feed)).toBeNull();
});

it('at any times, the writes of a member are 100 ms apart and end with its latest data', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const the = new Case();
    const random = new Random(seed);
    const latest = new Map<number, number>();
    for (let n = 1; n <= 2_000; n++) {
      const user = random.whole(0, the.members.length - 1);
      the.set(user, n);
      latest.set(user, n);
      the.scheduler.elapse(random.whole(0, 5) === 0 ? random.whole(1, 250) : 1);
    }
    the.scheduler.elapse(300);
    for (const user of latest.keys()) {
      const times = the.writes.filter((write) => write.user === user).map(({ atMs }) => atMs);
      const gaps = times.slice(1).map((atMs, i) => atMs - times[i]!);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(100);
      expect(the.of(user).at(-1)).toBe(latest.get(user));
    }
  }
});
