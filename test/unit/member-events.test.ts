/** What members of a large room are told: how many are there, at most once a second. */
import { beforeEach, expect, it } from 'vitest';
import type { PresenceChange } from '../../src/backplane/presence.ts';
import { Room } from '../../src/hub/room.ts';
import { MemberEvents } from '../../src/node/membership/member-events.ts';
import { Feed } from '../../src/node/rooms/feed.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';
import { OPEN } from '../support/rules.ts';

const nothing = () => undefined;
const who = { connection: 'n-1', user: null, data: null };

let scheduler: FakeScheduler;
let feed: Feed;
let events: MemberEvents;

beforeEach(() => {
  scheduler = new FakeScheduler();
  feed = new Feed(new Room('room'), OPEN, nothing);
  events = new MemberEvents({
    ...{ scheduler, detailedMembers: 10, dataBytesPerSecond: 0, version: () => 0 },
    ...{ smallAgain: nothing, addedUp: nothing, told: nothing, merged: nothing },
  });
});

function changes(...all: readonly (readonly [PresenceChange['change'], number])[]): void {
  for (const [change, count] of all) events.add(feed, { change, who, count });
}

function toldAfterASecond(): unknown {
  scheduler.elapse(1000);
  return feed.takePending();
}

it('who was told nothing yet hears whether the room grew or shrank', () => {
  changes(['left', 99], ['left', 98]);
  expect(toldAfterASecond()).toEqual([[['member', 'room', 'left', null, 98]]]);
});

it('a count that was told before the changes does not hide them from others', () => {
  changes(['joined', 100]);
  // A member who joins with the list knows the count by now, and the first one knows none.
  feed.toldCount ??= 101;
  changes(['joined', 101]);
  expect(toldAfterASecond()).toEqual([[['member', 'room', 'joined', null, 101]]]);
});

it('changes that add up to what members know are not told', () => {
  changes(['joined', 100]);
  toldAfterASecond();
  changes(['joined', 101], ['left', 100]);
  expect(toldAfterASecond()).toBeNull();
});

it('a count that changed unseen is told, although the changes after it add up to nothing', () => {
  changes(['joined', 100]);
  toldAfterASecond();
  changes(['joined', 102], ['left', 101]);
  expect(toldAfterASecond()).toEqual([[['member', 'room', 'joined', null, 101]]]);
});
