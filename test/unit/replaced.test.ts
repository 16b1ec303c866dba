import { describe, expect, it } from 'vitest';
import { draftEnvelope, type Envelope, finishEnvelope } from '../../src/backplane/envelope.ts';
import { KEPT_KEYS, NewestMessages } from '../../src/backplane/newest-messages.ts';
import { Replaced } from '../../src/node/rooms/replaced.ts';
import { OFFSET_AT, tinyFrame } from '../support/frames.ts';

/** One message for each character: `-` stands for itself, another one is its key. */
function envelope(first: number, keys: string): Envelope {
  const drafts = [...keys].map((key) => ({
    frame: tinyFrame(key),
    offsetAt: OFFSET_AT,
    exclude: 0,
    conflation: key === '-' ? null : Buffer.from(key.repeat(8)),
  }));
  return finishEnvelope(draftEnvelope(drafts, 'n0de0001', 0), 'epoch001', first);
}

/** What followed, from an offset on, in envelopes of a few. */
function followed(keys: string, first = 1, size = 3): Replaced {
  const replaced = new Replaced();
  for (let at = 0; at < keys.length; at += size) {
    replaced.follow(envelope(first + at, keys.slice(at, at + size)));
  }
  return replaced;
}

/** The rule, without any memory: offsets of the messages that are left. */
function leftOf(keys: string): number[] {
  return [...keys].flatMap((key, i) => (key === '-' || keys.lastIndexOf(key) === i ? [i + 1] : []));
}

describe('what is replaced', () => {
  it.each(['abab', '-a-b-a-b', '----', 'aaaaaaa', 'abcdefg-', '---------a----a-b-a'])(
    'of %s is counted as the rule says, whatever is asked for',
    (keys) => {
      const left = leftOf(keys);
      for (const size of [1, 2, 3, 20]) {
        const replaced = followed(keys, 1, size);
        for (let last = 1; last <= left.length; last++) {
          const start = left.at(-last)! - 1;
          expect(replaced.among(last, keys.length), `${size} ${last}`).toBe(keys.length - start - last);
        }
        for (let after = 0; after < keys.length; after++) {
          for (let upTo = after + 1; upTo <= keys.length; upTo++) {
            const isAll = !left.some((offset) => offset > after && offset <= upTo);
            expect(replaced.hasAll(after, upTo), `${after} ${upTo}`).toBe(isAll);
          }
        }
      }
    },
  );

  it('is known of a message by its own envelope', () => {
    const replaced = followed('ab-a');
    const first = envelope(1, 'ab-');
    expect([0, 1, 2].map((i) => replaced.has(first, i))).toEqual([true, false, false]);
  });

  it('is not assumed of what was not seen', () => {
    const replaced = followed('aaaa', 11);
    expect(replaced.hasAll(9, 13)).toBe(false);
    expect(replaced.hasAll(10, 13)).toBe(true);
    // Ten older ones of which nothing is known count as they are.
    expect(replaced.among(3, 14)).toBe(3);
  });

  it('is known of older messages when they have been read', () => {
    const replaced = followed('-ab', 11);
    replaced.precede([envelope(5, 'aa-'), envelope(8, 'bbb')]);
    expect(replaced.hasAll(7, 10)).toBe(true);
    expect(replaced.hasAll(6, 10)).toBe(false);
    expect(replaced.among(4, 13)).toBe(3);
    replaced.precede([envelope(1, '-'), envelope(2, 'a-a')]);
    expect(replaced.among(6, 13)).toBe(7);
  });

  it('is known too where the older messages have the first id', () => {
    const replaced = followed('---', 4);
    replaced.precede([envelope(1, 'a-a')]);
    expect(replaced.among(5, 6)).toBe(0);
    expect(replaced.among(6, 6)).toBe(0);
    expect(replaced.hasAll(0, 1)).toBe(true);
  });

  it('takes no more memory than it has to, and then no longer says that all is replaced', () => {
    const replaced = new Replaced();
    let offset = 1;
    for (let i = 0; i < 3000; i++) {
      const id = `${i}`.padStart(8, '0');
      const frame = { frame: tinyFrame(id), offsetAt: OFFSET_AT, exclude: 0, conflation: Buffer.from(id) };
      const one = finishEnvelope(draftEnvelope([frame], 'n0de0001', 0), 'epoch001', offset);
      replaced.follow(one);
      replaced.forgetBefore(offset - 10);
      offset++;
    }
    expect(replaced.hasAll(0, offset - 12)).toBe(false);
    expect(replaced.hasAll(1000, offset - 12)).toBe(false);
    for (let i = 0; i < 5000; i++) replaced.follow(envelope(offset++, '-'));
    replaced.follow(envelope(offset, 'z'));
    expect(replaced.among(1000, offset)).toBe(0);
  });

  it('is forgotten with its numbering', () => {
    const replaced = followed('aa');
    replaced.clear();
    expect([replaced.isEmpty, replaced.hasAll(0, 1), replaced.among(1, 2)]).toEqual([true, false, 0]);
  });
});

it('the newest messages of too many keys are those that changed last', () => {
  const newest = new NewestMessages();
  const set = (id: string, mark: number) =>
    newest.set({ id, mark, frame: Buffer.of(1), exclude: 0, bornMs: mark });
  for (let mark = 1; mark <= KEPT_KEYS; mark++) set(`${mark}`, mark);
  set('1', KEPT_KEYS + 1);
  set('new', KEPT_KEYS + 2);
  const kept = newest.after(0, 0).map(({ id }) => id);
  expect(kept).toHaveLength(KEPT_KEYS);
  expect([kept[0], ...kept.slice(-2)]).toEqual(['3', '1', 'new']);
  expect(newest.after(KEPT_KEYS, 0).map(({ id }) => id)).toEqual(['1', 'new']);
});
