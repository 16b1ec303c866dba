/** A room without history: who wants no echo of a message does not get it from the store either. */
import { expect, test } from 'vitest';
import { KEPT_FRAME_BYTES } from '../../src/backplane/newest-messages.ts';
import { Unechoed } from '../../src/node/rooms/unechoed.ts';

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

test('the newest message under a key takes the place of the one before', () => {
  const unechoed = new Unechoed();
  unechoed.note('live:a', idOf('k'), 7, Buffer.from('one'));
  unechoed.note('live:a', idOf('k'), 8, Buffer.from('two'));
  expect(unechoed.excluded('live:a', stored('k', 'one'))).toBe(0);
  expect(unechoed.excluded('live:a', stored('k', 'two'))).toBe(8);
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
});
