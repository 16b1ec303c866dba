/** Which messages a node may send a client that has had them: those after the position with which it joined again. */
import { expect, test } from 'vitest';
import { FedTo } from './world/fed-to.ts';

const ROOM = 'chat:a';

function fedWith(
  options: object,
  result: object,
  ...frames: readonly (readonly unknown[])[]
): (offset: number) => boolean {
  const fedTo = new FedTo();
  fedTo.frame({ direction: 'sent', frame: ['join', 1, ROOM, options] } as never);
  for (const frame of [['ok', 1, { offset: 9, ...result }], ...frames])
    fedTo.frame({ direction: 'received', frame } as never);
  return (offset) => fedTo.isNext(ROOM, offset);
}

test.each<readonly [what: string, options: object, result: object, next: number]>([
  ['a position', { since: ['epoch--1', 6] }, {}, 7],
  ['no position', {}, {}, 10],
  ['the newest messages', { since: ['epoch--1', 2], last: 3 }, { from: 6 }, 7],
  ['what was acknowledged', { resume: true }, { acked: 4 }, 5],
  ['what was acknowledged, for the first time', { resume: true }, { acked: null }, 10],
])('after a join with %s what follows it is next', (_, options, result, next) => {
  const isNext = fedWith(options, result);
  expect([next - 1, next].map(isNext)).toEqual([false, true]);
});

test.each<readonly [frame: readonly unknown[], next: number]>([
  [['message', ROOM, 7, 0, null, 1], 8],
  [['gap', ROOM, 7, 8, 'replaced'], 9],
  [['reset', ROOM, 'epoch--2', 3], 4],
  [['message', 'chat:b', 8, 0, null, 1], 7],
])('after %j the rest is next', (frame, next) => {
  const isNext = fedWith({ since: ['epoch--1', 6] }, {}, frame);
  expect([next - 1, next].map(isNext)).toEqual([false, true]);
});

test('before its join is answered, and on another connection, nothing is', () => {
  const fedTo = new FedTo();
  fedTo.frame({ direction: 'sent', frame: ['join', 1, ROOM, { since: ['epoch--1', 6] }] } as never);
  expect(fedTo.isNext(ROOM, 7)).toBe(false);
  fedTo.frame({ direction: 'received', frame: ['ok', 1, { offset: 9 }] } as never);
  expect(fedTo.isNext(ROOM, 7)).toBe(true);
  fedTo.connecting();
  expect(fedTo.isNext(ROOM, 7)).toBe(false);
});
