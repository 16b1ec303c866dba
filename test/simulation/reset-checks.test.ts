/** Which resets a run objects to. */
import { expect, test } from 'vitest';
import { MemberLog } from '../support/member-log.ts';
import { Clears } from './world/clears.ts';
import { unexplainedResets } from './world/reset-checks.ts';

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
