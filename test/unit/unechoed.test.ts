/** A room without history: who wants no echo of a message does not get it from the store either. */
import { describe, expect, test } from 'vitest';
import { KEPT_FRAME_BYTES } from '../../src/backplane/newest-messages.ts';
import { type PublishOutcome, Unechoed } from '../../src/node/rooms/unechoed.ts';

const idOf = (text: string) => Buffer.from(text.padEnd(8), 'latin1');
const stored = (id: string, frame: string) => ({ id: id.padEnd(8), frame: Buffer.from(frame) });

test('the publisher of a message is excluded, where the store has this very message', () => {
  const unechoed = new Unechoed();
  unechoed.note('live:a', idOf('k'), 7, Buffer.from('one'));
  expect(unechoed.excluded('live:a', stored('k', 'one'))).toBe(7);
  expect(unechoed.excluded('live:b', stored('k', 'one'))).toBe(0);
  expect(unechoed.excluded('live:a', stored('j', 'one'))).toBe(0);
  // Somebody has published another one under the key.
  expect(unechoed.excluded('live:a', stored('k', 'two'))).toBe(0);
});

describe('a message under the same key as one before', () => {
  const published = (...outcomes: readonly (PublishOutcome | null)[]) => {
    const unechoed = new Unechoed();
    const noted = outcomes.map((_, i) => unechoed.note('live:a', idOf('k'), i + 1, Buffer.from(`${i + 1}`))!);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome !== null) unechoed.settled(noted[i]!, outcome);
    }
    return outcomes.map((_, i) => unechoed.excluded('live:a', stored('k', `${i + 1}`)));
  };

  test.each<
    readonly [what: string, outcomes: readonly (PublishOutcome | null)[], excluded: readonly number[]]
  >([
    ['takes its place when it is stored', ['stored', 'stored'], [0, 2]],
    ['does not before that is known', ['stored', null], [1, 2]],
    ['does not when it was refused, or was a duplicate', ['stored', 'not stored'], [1, 0]],
    ['does not when nobody knows', ['stored', 'unknown'], [1, 2]],
    ['leaves one alone that may be stored after it', ['unknown', 'stored'], [1, 2]],
    ['is forgotten with it when both were refused', ['not stored', 'not stored'], [0, 0]],
    ['takes the place of all that were stored', ['stored', 'not stored', 'unknown', 'stored'], [0, 0, 3, 4]],
  ])('%s', (_, outcomes, excluded) => {
    expect(published(...outcomes)).toEqual(excluded);
  });
});

test('frames are copied, a thousand at most, and none that the store does not keep', () => {
  const unechoed = new Unechoed();
  const frame = Buffer.from('first');
  unechoed.note('live:a', idOf('0'), 7, frame);
  frame.fill(0);
  expect(unechoed.excluded('live:a', stored('0', 'first'))).toBe(7);
  for (let i = 1; i <= 1_000; i++) unechoed.note('live:a', idOf(String(i)), 7, Buffer.from('later'));
  expect(unechoed.excluded('live:a', stored('0', 'first'))).toBe(0);
  expect(unechoed.excluded('live:a', stored('1', 'later'))).toBe(7);
  const large = 'x'.repeat(KEPT_FRAME_BYTES + 1);
  unechoed.note('live:a', idOf('large'), 7, Buffer.from(large));
  expect(unechoed.excluded('live:a', stored('large', large))).toBe(0);
  // The same where all of them have one key, and nobody knows which of them are stored.
  for (let i = 1; i <= 1_001; i++) unechoed.note('live:b', idOf('k'), i, Buffer.from(String(i)));
  expect(unechoed.excluded('live:b', stored('k', '1'))).toBe(0);
  expect(unechoed.excluded('live:b', stored('k', '2'))).toBe(2);
  expect(unechoed.excluded('live:a', stored('1', 'later'))).toBe(0);
});
