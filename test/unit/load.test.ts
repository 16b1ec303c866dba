import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LoadConnection } from '../../src/load/connection.ts';
import type { Dialect } from '../../src/load/dialect.ts';
import { frameBodyAt, frameBodyLength, maskedFrame, OPCODE } from '../../src/load/frames.ts';
import { Histogram } from '../../src/load/histogram.ts';
import { Load, type LoadPlan, Publisher } from '../../src/load/load.ts';
import * as payloads from '../../src/load/payload.ts';
import { createDialect as createMsgpackDialect } from '../../src/load/roomcast-dialect.ts';
import { createDialect as createJsonDialect } from '../../src/load/roomcast-json-dialect.ts';
import { Tally, WATCH } from '../../src/load/tally.ts';
import { type EncodedFrames, serverCodec } from '../../src/protocol/codec.ts';
import { buildMessageFrame, setFrameOffset } from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';

const PAYLOAD_BYTES = 64;
const ROOM = { roomName: 'bench:3', room: 3 };
const DIALECTS = [
  ['msgpack', createMsgpackDialect],
  ['json', createJsonDialect],
] as const;

describe('a histogram', () => {
  const valueUs = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 39 }));

  it('gives the value of each rank to within 1.6%, and the maximum as it is', () => {
    fc.assert(
      fc.property(fc.array(valueUs, { minLength: 1, maxLength: 300 }), (values) => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        const sorted = [...values].sort((a, b) => a - b);
        const found = histogram.percentiles();
        for (const [share, name] of [[0.5, 'p50'] as const, [0.9, 'p90'] as const, [0.99, 'p99'] as const]) {
          const exact = sorted[Math.ceil(share * values.length) - 1]!;
          expect(found[name]).toBeGreaterThanOrEqual(exact);
          expect(found[name]).toBeLessThanOrEqual(exact * (1 + 1 / 64));
        }
        expect(found).toMatchObject({ max: sorted.at(-1), samples: values.length });
      }),
    );
  });

  it('is the same merged from parts that were sent as JSON as recorded in one', () => {
    fc.assert(
      fc.property(fc.array(valueUs), fc.array(valueUs), (some, others) => {
        const [part, rest, merged, whole] = Array.from({ length: 4 }, () => new Histogram());
        for (const value of some) part!.record(value);
        for (const value of others) rest!.record(value);
        for (const value of [...some, ...others]) whole!.record(value);
        for (const one of [part, rest]) merged!.merge(JSON.parse(JSON.stringify(one)));
        expect(merged!.toJSON()).toEqual(whole!.toJSON());
      }),
    );
  });

  it('is all zeros before anything is recorded', () => {
    expect(new Histogram().percentiles()).toMatchObject({ p50: 0, p9999: 0, max: 0, samples: 0 });
  });

  it('counts a time before the send, as of two clocks, as none', () => {
    const histogram = new Histogram();
    histogram.record(-12);
    expect(histogram.percentiles()).toMatchObject({ p50: 0, max: 0, samples: 1 });
  });
});

describe('a payload', () => {
  const index = fc.integer({ min: 0, max: 2 ** 15 - 1 });
  const counter = fc.integer({ min: 1, max: 2 ** 30 - 1 });
  const clockUs = fc.integer({ min: 0, max: 2 ** 52 });

  it('carries room, publisher, counter and the time that it was sent', () => {
    fc.assert(
      fc.property(
        index,
        index,
        counter,
        clockUs,
        fc.integer({ min: 0, max: 1e9 }),
        (room, by, n, sent, age) => {
          const bytes = Buffer.concat([Buffer.alloc(7), payloads.createPayload(PAYLOAD_BYTES, room, by)]);
          payloads.stampPayload(bytes, 7, n, sent);
          expect(payloads.payloadRoom(bytes, 7)).toBe(room);
          expect(payloads.payloadPublisher(bytes, 7)).toBe(by);
          expect(payloads.payloadCounter(bytes, 7)).toBe(n);
          expect(payloads.payloadAgeUs(bytes, 7, sent + age)).toBe(age);
        },
      ),
    );
  });

  it('is text that JSON writes as it is', () => {
    const bytes = payloads.createPayload(PAYLOAD_BYTES, 2 ** 15 - 1, 31);
    payloads.stampPayload(bytes, 0, 2 ** 30 - 1, 2 ** 40 - 1);
    const text = Buffer.from(bytes).toString('latin1');
    expect(JSON.stringify(text)).toBe(`"${text}"`);
    expect(Buffer.byteLength(text)).toBe(PAYLOAD_BYTES);
  });

  it('has room for its head', () => {
    expect(() => payloads.createPayload(payloads.PAYLOAD_HEAD_BYTES - 1, 0, 0)).toThrow(/at least 20 bytes/);
  });
});

describe('a WebSocket frame', () => {
  const LENGTHS = [0, 1, 125, 126, 65_535, 65_536, 100_000];

  it.each(LENGTHS)('of a client has the mask bit, a key of zero and %i bytes as they are', (length) => {
    const body = Buffer.alloc(length, 0xab);
    const { bytes, bodyAt } = maskedFrame(OPCODE.binary, body);
    expect(bytes[0]).toBe(0x82);
    expect(bytes[1]! & 0x80).toBe(0x80);
    expect([...bytes.subarray(bodyAt - 4, bodyAt)]).toEqual([0, 0, 0, 0]);
    expect(bytes.subarray(bodyAt).equals(body)).toBe(true);
    expect(frameBodyLength(bytes, 0)).toBe(length);
  });

  it.each(LENGTHS)('of a server with %i bytes is found wherever its header is split', (length) => {
    const frame = serverFrame(Buffer.alloc(length, 0xcd));
    const headBytes = frame.length - length;
    const bytes = Buffer.concat([Buffer.alloc(3, 0xff), frame]);
    for (let come = 0; come < headBytes; come++) expect(frameBodyAt(bytes, 3, 3 + come)).toBe(-1);
    for (let come = headBytes; come <= Math.min(frame.length, 200); come++) {
      expect(frameBodyAt(bytes, 3, 3 + come)).toBe(3 + headBytes);
    }
    expect(frameBodyLength(bytes, 3)).toBe(length);
  });
});

describe('a load in a closed loop', () => {
  it('keeps so many publishes in flight, from the publishers in turn', () => {
    const { load, publishers, counts } = aLoad({ kind: 'closed', inFlight: 7 }, 3);
    load.start();
    expect(counts()).toEqual([3, 2, 2]);
    for (let i = 0; i < 5; i++) load.returned();
    // What a chunk made room for leaves at its end.
    expect(counts()).toEqual([3, 2, 2]);
    load.chunkRead();
    expect(counts()).toEqual([4, 4, 4]);
    expect(publishers).toHaveLength(3);
  });

  it('has stopped when the last one in flight has come back, and publishes none instead', async () => {
    const { load, counts } = aLoad({ kind: 'closed', inFlight: 3 }, 1);
    load.start();
    const stopped = load.stop(60_000);
    for (let i = 0; i < 3; i++) load.returned();
    load.chunkRead();
    await stopped;
    expect(counts()).toEqual([3]);
  });
});

describe('a load by the clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('publishes so many a second in an open loop, whatever comes back', () => {
    const { load, total } = aLoad({ kind: 'open', perSecond: 1000 }, 4);
    load.start();
    vi.advanceTimersByTime(1500);
    expect(total()).toBeGreaterThanOrEqual(1499);
    expect(total()).toBeLessThanOrEqual(1501);
    void load.stop(1000);
    vi.advanceTimersByTime(500);
    expect(total()).toBeLessThanOrEqual(1501);
  });

  it('rises in a straight line where it has a ramp, and goes on at the full rate', () => {
    const { load, total } = aLoad({ kind: 'open', perSecond: 1000, rampSeconds: 2 }, 1);
    load.start();
    vi.advanceTimersByTime(1000);
    const half = total();
    vi.advanceTimersByTime(1000);
    const ramp = total();
    vi.advanceTimersByTime(1000);
    expect(half).toBeCloseTo(250, -1.5);
    expect(ramp).toBeCloseTo(1000, -1.5);
    expect(total() - ramp).toBeCloseTo(1000, -1);
  });

  it('waits for what is in flight for as long as any of it comes, and no longer', async () => {
    const { load } = aLoad({ kind: 'closed', inFlight: 10 }, 1);
    let hasStopped = false;
    load.start();
    void load.stop(3000).then(() => {
      hasStopped = true;
    });
    for (let i = 0; i < 5; i++) {
      load.returned();
      await vi.advanceTimersByTimeAsync(2900);
    }
    expect(hasStopped).toBe(false);
    await vi.advanceTimersByTimeAsync(6000);
    expect(hasStopped).toBe(true);
  });
});

describe.each(DIALECTS)('the dialect %s', (encoding, createDialect) => {
  const dialect = createDialect({ payloadBytes: PAYLOAD_BYTES });
  const codec = serverCodec(encoding);
  const message = (offset: number, by = 0): EncodedFrames => codec.messages(storedMessage(offset, by));

  it('counts every message of a WebSocket message, replies and all', () => {
    const { connection, tally, receive } = aMember(dialect);
    connection.lastOffset = 41;
    const ok = codec.encodePublishOk(1, 'epoch', 42, false);
    receive(codec.join([message(42), message(43), ok, message(44), ok]));
    expect(tally).toMatchObject({ delivered: 3, acknowledged: 2, repeated: 0, reordered: 0, troubles: 0 });
    expect(connection.lastOffset).toBe(44);
  });

  it('tells what was passed over and comes late from what comes twice', () => {
    const { connection, tally, receive } = aMember(dialect);
    receive(codec.join([message(1), message(4)]));
    expect([...connection.missing!]).toEqual([2, 3]);
    receive(message(3));
    expect(tally).toMatchObject({ delivered: 3, reordered: 1, repeated: 0 });
    receive(message(3));
    receive(message(1));
    expect(tally).toMatchObject({ delivered: 5, reordered: 1, repeated: 2 });
    receive(message(5));
    expect(connection.lastOffset).toBe(5);
    expect([...connection.missing!]).toEqual([2]);
  });

  it('holds messages without an offset against the counter of their publisher', () => {
    const { connection, tally, receive } = aMember(dialect);
    const unnumbered = (counter: number, by: number): EncodedFrames =>
      codec.messages(storedMessage(0, by, counter));
    receive(codec.join([unnumbered(1, 3), unnumbered(1, 4), unnumbered(2, 3), unnumbered(2, 3)]));
    expect(tally).toMatchObject({ delivered: 4, unnumbered: 4, repeated: 1, reordered: 0 });
    expect(connection.lastOffset).toBe(0);
  });

  it('has offsets of all lengths', () => {
    const offset = fc.integer({ min: 2, max: 2 ** 53 - 2 });
    fc.assert(
      fc.property(offset, (last) => {
        const { connection, tally, receive } = aMember(dialect);
        connection.lastOffset = last - 1;
        receive(codec.join([message(last), message(last + 1)]));
        expect(connection.lastOffset).toBe(last + 1);
        expect(tally).toMatchObject({ delivered: 2, reordered: 0, repeated: 0 });
      }),
    );
  });

  it('reports to the load what the publisher that is watched for has sent, and nothing else', () => {
    const watchesOne = aMember(dialect, 5);
    watchesOne.receive(codec.join([message(1, 5), message(2, 6), message(3, 5)]));
    expect(watchesOne.returned).toHaveBeenCalledTimes(2);
    const watchesAll = aMember(dialect, WATCH.all);
    watchesAll.receive(codec.join([message(1, 5), message(2, 6)]));
    expect(watchesAll.returned).toHaveBeenCalledTimes(2);
    const watchesNone = aMember(dialect);
    watchesNone.receive(message(1, 5));
    expect(watchesNone.returned).not.toHaveBeenCalled();
  });

  it('looks into one delivery of seventeen: how old it is, and whether it is in its room', () => {
    const { tally, receive } = aMember(dialect);
    tally.chunkUs = 1250;
    for (let offset = 1; offset <= 34; offset++) receive(message(offset));
    expect(tally.data().latency).toMatchObject({ counts: [[expect.any(Number), 2]], max: 250 });
    expect(tally.misrouted).toBe(0);
    const stray = aMember(dialect, WATCH.none, 4);
    for (let offset = 1; offset <= 17; offset++) stray.receive(message(offset));
    expect(stray.tally.misrouted).toBe(1);
  });

  it('publishes what the server reads as the room, and a payload that is where it says', () => {
    const payload = payloads.createPayload(PAYLOAD_BYTES, 3, 1);
    const { body, payloadAt } = dialect.publish('bench:3', payload);
    payloads.stampPayload(body, payloadAt, 77, 1234);
    const [decoded] = codec.decodeCommands(body);
    expect(decoded).toMatchObject({ type: 'publish', id: 1, room: 'bench:3' });
    expect(payloads.payloadCounter(body, payloadAt)).toBe(77);
  });

  it('is a member from the answer to its join on, with what came before it counted', () => {
    const { connection, tally, bytesOf } = aMember(dialect);
    const opened = (frames: EncodedFrames): boolean => {
      const bytes = bytesOf(frames);
      return dialect.opened(connection, bytes, 0, bytes.length, tally);
    };
    const ok = codec.encode(['ok', 1, { epoch: 'e1', offset: 8 }]);
    expect(opened(ok)).toBe(true);
    expect(connection).toMatchObject({ session: 'e1', lastOffset: 8 });
    expect(opened(codec.join([codec.encode(['ok', 1, { epoch: 'e1', offset: 10 }]), message(9)]))).toBe(true);
    expect(connection).toMatchObject({ session: 'e1', lastOffset: 9 });
    expect(() => opened(codec.encode(['error', 1, 'forbidden', 'no']))).toThrow(
      'a join was refused: forbidden',
    );
  });
});

/** A member that is not connected: frames are handed to its dialect as they would come from a socket. */
function aMember(dialect: Dialect, watches: number = WATCH.none, room = ROOM.room) {
  const tally = new Tally();
  const returned = vi.fn<() => void>();
  tally.returned = returned;
  const connection = new LoadConnection({ ...ROOM, room, watches }, dialect, tally);
  const bytesOf = (frames: EncodedFrames): Uint8Array =>
    typeof frames === 'string' ? Buffer.from(frames) : frames;
  const receive = (frames: EncodedFrames): void => {
    // As in a chunk: there is something before it and something after it.
    const bytes = Buffer.concat([Buffer.alloc(5, 0xff), bytesOf(frames), Buffer.alloc(5, 0xff)]);
    dialect.receive(connection, bytes, 5, bytes.length - 5, tally);
  };
  return { connection, tally, returned, receive, bytesOf };
}

/** Publishers whose connections are not open: what they would send is counted and goes nowhere. */
function aLoad(plan: LoadPlan, howMany: number) {
  const dialect = createMsgpackDialect({ payloadBytes: PAYLOAD_BYTES });
  const publishers = Array.from({ length: howMany }, (_, index) => {
    const { connection } = aMember(dialect);
    return new Publisher(connection, dialect, {
      ...{ ...ROOM, index, payloadBytes: PAYLOAD_BYTES, isSharing: false },
    });
  });
  const counts = (): number[] => publishers.map(({ published }) => published);
  const total = (): number => counts().reduce((sum, count) => sum + count, 0);
  return { load: new Load(publishers, plan), publishers, counts, total };
}

/** As a node stores it: sent by publisher `by` of the room at 1,000 us. */
function storedMessage(offset: number, by: number, counter = 1): Uint8Array {
  const payload = payloads.createPayload(PAYLOAD_BYTES, ROOM.room, by);
  payloads.stampPayload(payload, 0, counter, 1000);
  const data = packValue(Buffer.from(payload).toString('latin1'));
  const { frame, offsetAt } = buildMessageFrame(ROOM.roomName, 1_700_000_000_000, 'someone', data);
  setFrameOffset(frame, offsetAt, offset);
  return frame;
}

/** Not masked, as a server sends it. */
function serverFrame(body: Buffer): Buffer {
  const { bytes, bodyAt } = maskedFrame(OPCODE.binary, body);
  const head = Buffer.from(bytes.subarray(0, bodyAt - 4));
  head[1]! &= 0x7f;
  return Buffer.concat([head, body]);
}
