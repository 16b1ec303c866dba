import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DraftFrame, draftEnvelope, Envelope, finishEnvelope } from '../../src/backplane/envelope.ts';
import {
  buildMessageFrame,
  buildSignalFrame,
  decodeMessageFrames,
  decodeRun,
} from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';

const ORIGIN = 'n0de0001';
const EPOCH = 'k3v9x0ab';
const SENT = 1_700_000_000_456;

function draft(text: string, exclude = 0): DraftFrame {
  return { ...buildMessageFrame('chat:lobby', 1_700_000_000_123, 'ann', packValue(text)), exclude };
}

function finished(first: number, excludes: readonly number[] = [0, 0, 0]): Envelope {
  const drafts = excludes.map((exclude, at) => draft('x'.repeat(at * 100), exclude));
  return finishEnvelope(draftEnvelope(drafts, ORIGIN, SENT), EPOCH, first);
}

const offsets = (run: Uint8Array) => decodeMessageFrames(run).map((frame) => frame[2]);

describe('an envelope', () => {
  it('gives back what was put in, with the offsets in place', () => {
    const envelope = finished(41);
    expect(envelope).toMatchObject({
      count: 3,
      first: 41,
      last: 43,
      epoch: EPOCH,
      origin: ORIGIN,
      sentAtMs: SENT,
    });
    expect(decodeMessageFrames(envelope.frames)).toEqual(
      [0, 1, 2].map((at) => [
        'message',
        'chat:lobby',
        41 + at,
        1_700_000_000_123,
        'ann',
        'x'.repeat(at * 100),
      ]),
    );
  });

  it('holds offsets up to 53 bits', () => {
    expect(offsets(finished(Number.MAX_SAFE_INTEGER - 2).frames).at(-1)).toBe(Number.MAX_SAFE_INTEGER);
    expect(offsets(finished(2 ** 32 - 2).frames)).toEqual([2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32]);
  });

  it.each(['', EPOCH, 'otherone', 'k3v9x0ac', 'short'])('has its own epoch where %j is likely', (likely) => {
    expect(Envelope.parse(Buffer.from(finished(7).bytes), likely)?.epoch).toBe(EPOCH);
  });

  it('survives being parsed from its bytes', () => {
    const envelope = finished(7, [0, 4_000_000_000, 1]);
    const parsed = Envelope.parse(Buffer.from(envelope.bytes));
    expect(parsed?.frames).toEqual(envelope.frames);
    expect(parsed).toMatchObject({ count: 3, first: 7, epoch: EPOCH, origin: ORIGIN, sentAtMs: SENT });
  });

  it('cuts out frames by index', () => {
    const envelope = finished(41);
    expect(offsets(envelope.slice(0, 3))).toEqual([41, 42, 43]);
    expect(offsets(envelope.slice(1, 2))).toEqual([42]);
    expect(envelope.slice(1, 1)).toHaveLength(0);
    expect(envelope.slice(1, 2)).toHaveLength(envelope.frameLength(1));
  });

  it.each([
    [0, [41, 42, 43]],
    [40, [41, 42, 43]],
    [41, [42, 43]],
    [42, [43]],
    [43, []],
    [44, []],
    [1_000_000, []],
  ])('has these frames after offset %i', (after, expected) => {
    expect(offsets(finished(41).after(after))).toEqual(expected);
  });

  it('names for each frame the connection that is not to get it', () => {
    const envelope = finished(41, [0, 4_294_967_295, 12]);
    expect(envelope.hasExcludes).toBe(true);
    expect([0, 1, 2].map((at) => envelope.excluded(at))).toEqual([0, 4_294_967_295, 12]);
  });

  it('is shorter by the table where no frame excludes anyone', () => {
    const without = finished(41);
    expect(without.hasExcludes).toBe(false);
    expect([0, 1, 2].map((at) => without.excluded(at))).toEqual([0, 0, 0]);
    expect(finished(41, [0, 0, 1]).bytes.length - without.bytes.length).toBe(12);
  });
});

describe('an envelope of a room without history', () => {
  const envelope = Envelope.parse(draftEnvelope([draft('a'), draft('b')], ORIGIN, SENT));

  it('has no epoch, and its offsets are 0', () => {
    expect(envelope).toMatchObject({ first: 0, last: 0, epoch: '', count: 2 });
    expect(offsets(envelope!.frames)).toEqual([0, 0]);
  });

  it('has all its frames after any offset', () => {
    expect(envelope!.after(0)).toEqual(envelope!.frames);
    expect(envelope!.after(5)).toEqual(envelope!.frames);
  });
});

describe('an envelope of signals', () => {
  const drafts = [0, 7].map((exclude) => ({
    ...buildSignalFrame('chat:lobby', 1_700_000_000_123, 'ann', packValue(exclude)),
    exclude,
  }));
  const bytes = draftEnvelope(drafts, ORIGIN, SENT);

  it('has no offsets, and its frames as they were', () => {
    const envelope = Envelope.parse(Buffer.from(bytes));
    expect(envelope).toMatchObject({ isSignal: true, hasExcludes: true, first: 0, last: 0, count: 2 });
    expect(envelope).toMatchObject({ epoch: '', sentAfter: 0 });
    expect([0, 1].map((at) => envelope!.excluded(at))).toEqual([0, 7]);
    expect(decodeRun(envelope!.frames)).toEqual(
      [0, 7].map((data) => ['signal', 'chat:lobby', 1_700_000_000_123, 'ann', data]),
    );
    expect(finished(1).isSignal).toBe(false);
  });

  it.each([0, 41])('says that it follows message %i', (offset) => {
    const envelope = finishEnvelope(Buffer.from(bytes), EPOCH, offset);
    expect(envelope).toMatchObject({ first: 0, last: 0, epoch: EPOCH, sentAfter: offset });
    expect(decodeRun(envelope.frames)).toHaveLength(2);
    expect(envelope.copy()).toMatchObject({ isSignal: true, epoch: EPOCH, sentAfter: offset });
  });
});

describe('bytes that are not an envelope', () => {
  const good = finished(41, [0, 1, 0]).bytes;

  it('are null wherever they are cut, and when something follows', () => {
    for (let length = 0; length < good.length; length++) {
      expect(Envelope.parse(good.subarray(0, length))).toBeNull();
    }
    expect(Envelope.parse(Buffer.concat([good, Buffer.of(0)]))).toBeNull();
  });

  it('are null with another version, or without a frame', () => {
    const other = Buffer.from(good);
    other[0] = 1;
    expect(Envelope.parse(other)).toBeNull();
    expect(Envelope.parse(Buffer.concat([Buffer.of(3), Buffer.alloc(47)]))).toBeNull();
  });

  it('are null where a frame is too short for its offset', () => {
    const other = Buffer.from(good);
    other.writeUInt16BE(other.readUInt32BE(32) - 8, 30);
    expect(Envelope.parse(other)).toBeNull();
  });

  it('never make it throw, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, versioned) => {
        const buffer = Buffer.from(bytes);
        if (versioned && buffer.length > 0) buffer[0] = 3;
        const envelope = Envelope.parse(buffer);
        if (envelope !== null) expect(envelope.slice(0, envelope.count)).toEqual(envelope.frames);
      }),
      { numRuns: 2000 },
    );
  });
});
