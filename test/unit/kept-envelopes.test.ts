import { describe, expect, it } from 'vitest';
import { draftEnvelope, type Envelope, finishEnvelope } from '../../src/backplane/envelope.ts';
import { KeptEnvelopes } from '../../src/backplane/kept-envelopes.ts';
import { framesOf, tinyFrame } from '../support/frames.ts';

/** Messages `first` to `last`. */
function envelope(first: number, last: number, text = 'x'): Envelope {
  const frame = { frame: tinyFrame(text), offsetAt: 3, exclude: 0 };
  const drafts = Array.from({ length: last - first + 1 }, () => frame);
  return finishEnvelope(draftEnvelope(drafts, 'node0001', 0), 'epoch001', first);
}

/** Single messages from 1 on, each with its offset for a text, and ten times that for a time. */
function kept(count: number): KeptEnvelopes {
  const envelopes = new KeptEnvelopes();
  for (let i = 1; i <= count; i++) envelopes.append(envelope(i, i, `${i}`), i * 10);
  return envelopes;
}

const texts = (envelopes: readonly Envelope[]) => envelopes.flatMap(framesOf).map(({ text }) => text);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

describe('kept envelopes', () => {
  it('are the bytes that were added, however many slabs they fill', () => {
    const envelopes = kept(3000);
    expect(texts(envelopes.after(0))).toEqual(numbers(1, 3000));
    expect(texts(envelopes.after(2990))).toEqual(numbers(2991, 3000));
    expect(envelopes.after(3000)).toEqual([]);
    expect(envelopes.messages).toBe(3000);
    expect(envelopes.bytes).toBe(envelopes.after(0).reduce((sum, { bytes }) => sum + bytes.length, 0));
  });

  it('take little memory where little is kept, however long', () => {
    const envelopes = new KeptEnvelopes();
    for (let i = 1; i <= 5000; i++) {
      envelopes.append(envelope(i, i), 0);
      while (envelopes.messages > 2) envelopes.dropOldest();
    }
    expect(envelopes.allocatedBytes).toBeLessThanOrEqual(1024);
  });

  it('take about what they hold, also where envelopes are large', () => {
    for (const length of [100, 1000, 5000, 9000, 17_000, 40_000]) {
      const envelopes = new KeptEnvelopes();
      const text = 'x'.repeat(length);
      for (let i = 1; i <= 1000; i++) {
        envelopes.append(envelope(i, i, text), 0);
        while (envelopes.messages > 100) envelopes.dropOldest();
      }
      expect(envelopes.allocatedBytes, `${length}`).toBeLessThan(envelopes.bytes * 1.5 + 2 * 32 * 1024);
    }
  });

  it('are read up to a number of messages or bytes', () => {
    const envelopes = kept(50);
    expect(texts(envelopes.after(10, { messages: 3 }))).toEqual(numbers(11, 13));
    expect(texts(envelopes.after(10, { bytes: 1 }))).toEqual(numbers(11, 11));
  });

  it('know of the oldest where it begins and ends, and its time, also where a slab ends', () => {
    const envelopes = kept(2000);
    for (let i = 1; i <= 2000; i++) {
      const { first, last, messages, timeMs } = envelopes.oldest!;
      if (first !== i || last !== i || messages !== 1 || timeMs !== i * 10)
        expect([i, first, last]).toEqual([i, i, i]);
      envelopes.dropOldest();
    }
    expect([envelopes.oldest, envelopes.messages, envelopes.bytes]).toEqual([null, 0, 0]);
    envelopes.dropOldest();
    envelopes.append(envelope(2001, 2004), 0);
    expect([envelopes.oldest?.first, envelopes.messages]).toEqual([2001, 4]);
  });

  it('that were dropped are not found, while those who hold them still read them', () => {
    const envelopes = kept(20);
    const held = envelopes.after(0);
    for (let i = 0; i < 15; i++) envelopes.dropOldest();
    for (let i = 21; i <= 5000; i++) {
      envelopes.append(envelope(i, i, `${i}`), 0);
      envelopes.dropOldest();
    }
    expect(texts(envelopes.after(0))).toEqual(numbers(4996, 5000));
    expect(texts(held)).toEqual(numbers(1, 20));
  });

  it('are found although some were added since they were last read', () => {
    const envelopes = kept(2);
    const before = envelopes.after(0);
    envelopes.append(envelope(3, 3, '3'), 0);
    expect(texts(envelopes.after(1))).toEqual(['2', '3']);
    expect(texts(before)).toEqual(['1', '2']);
  });

  it('are handed out until the bytes asked for are exceeded', () => {
    const envelopes = kept(100);
    const each = envelopes.after(99)[0]!.bytes.length;
    expect(envelopes.after(0, { bytes: 0 })).toHaveLength(1);
    expect(texts(envelopes.after(10, { bytes: each * 2.5 }))).toEqual(['11', '12', '13']);
  });

  it('may be larger than any slab', () => {
    const envelopes = kept(1);
    envelopes.append(envelope(2, 2, 'y'.repeat(100_001)), 0);
    envelopes.append(envelope(3, 3), 0);
    expect(texts(envelopes.after(1)).map(({ length }) => length)).toEqual([100_001, 1]);
  });

  it('take older ones in front', () => {
    const envelopes = new KeptEnvelopes();
    envelopes.append(envelope(6, 8, 'new'), 0);
    envelopes.prepend(kept(5));
    expect(texts(envelopes.after(3))).toEqual(['4', '5', 'new', 'new', 'new']);
    expect([envelopes.oldest?.first, envelopes.messages]).toEqual([1, 8]);
    for (let i = 0; i < 5; i++) envelopes.dropOldest();
    expect(envelopes.oldest).toMatchObject({ first: 6, last: 8, messages: 3 });
  });
});
