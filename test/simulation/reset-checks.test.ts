/** Which resets a run objects to. */
import { expect, test } from 'vitest';
import { MemberLog } from '../support/member-log.ts';
import { Clears } from './world/clears.ts';
import { DepartedSlots } from './world/departed-slots.ts';
import { Owner } from './world/loop.ts';
import { unexplainedResets } from './world/reset-checks.ts';
import { Strangers } from './world/strangers.ts';

function logOf(...epochs: string[]): MemberLog {
  const log = new MemberLog('ann', 'chat:a');
  for (const epoch of epochs) log.event({ kind: 'reset', epoch, offset: 7 });
  return log;
}

test('a member may be told once of each epoch that a clear of its room began', () => {
  const clears = new Clears();
  clears.begin('chat:a')('epoch--1');
  clears.begin('chat:b')('epoch--2');
  expect(unexplainedResets(logOf('epoch--1'), clears)).toEqual([]);
  expect(unexplainedResets(logOf('epoch--1', 'epoch--1'), clears)).toEqual(['epoch--1']);
  expect(unexplainedResets(logOf('epoch--2', 'epoch--1'), clears)).toEqual(['epoch--2']);
});

test('of a clear without an answer nobody knows which epoch it began', () => {
  const clears = new Clears();
  const answered = clears.begin('chat:a');
  expect(clears.mayReset('chat:a')).toBe(true);
  expect(clears.mayReset('chat:b')).toBe(false);
  answered('epoch--1');
  expect(clears.mayReset('chat:a')).toBe(false);
});

test.each([
  ['is awake all the time', Infinity, Infinity, []],
  ['sleeps through both', 9_000, Infinity, [7]],
  ['falls asleep before it can have noticed the move', 11_000, Infinity, [7]],
  ['knew of the move before it fell asleep', 13_000, Infinity, []],
  ['has just come back', 9_000, 19_000, [7]],
  ['came back long before', 9_000, 12_000, []],
] as const)(
  'a slot that left a server is in doubt after a restart of it if a node %s',
  (_, from, until, doubted) => {
    let nowMs = 10_000;
    const node = Object.assign(new Owner('node'), { frozenAtMs: from, thawedAtMs: until });
    const departed = new DepartedSlots<string>({
      nowMs: () => nowMs,
      nodes: () => [new Owner('other'), node],
    });
    departed.note(7, 'source');
    nowMs = 20_000;
    expect(departed.unnoticed('another')).toEqual([]);
    expect(departed.unnoticed('source')).toEqual(doubted);
  },
);

test('nodes do not know a server that was promoted while it had nothing, until a while after something arrives there', () => {
  let nowMs = 0;
  const strangers = new Strangers<string>(() => nowMs);
  strangers.promoted('stranger', false);
  strangers.promoted('used', true);
  nowMs = 60_000;
  expect(strangers.meet('stranger')).toBe(true);
  nowMs += 5_000;
  expect(strangers.meet('stranger')).toBe(true);
  nowMs += 5_000;
  expect(strangers.meet('stranger')).toBe(false);
  expect(strangers.meet('used')).toBe(false);
  expect(strangers.meet('never promoted')).toBe(false);
  strangers.promoted('stranger', false);
  strangers.promoted('stranger', true);
  expect(strangers.meet('stranger')).toBe(false);
});
