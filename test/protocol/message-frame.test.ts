import { describe, expect, it } from 'vitest';
import { codecCalls } from '../../src/protocol/calls.ts';
import { decodeServerFrames } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import { FrameError } from '../../src/protocol/frame-error.ts';
import {
  buildMessageFrame,
  decodeMessageFrames,
  setFrameOffset,
  splitFrames,
} from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { fromHex, serverFrames, toHex } from './vectors.ts';

const AT = 1_700_000_000_123;

function built(room: string, offset: number, sender: string | null, data: unknown): Uint8Array {
  const { frame, offsetAt } = buildMessageFrame(room, AT, sender, packValue(data));
  setFrameOffset(frame, offsetAt, offset);
  return frame;
}

describe('buildMessageFrame', () => {
  it('leaves nine bytes for the offset, 0xcf and zeros', () => {
    const { frame, offsetAt } = buildMessageFrame('chat:lobby', AT, 'ann', packValue('hello'));
    expect(toHex(frame.subarray(offsetAt, offsetAt + 9))).toBe('cf0000000000000000');
  });

  it('is the encoded frame once the offset is set', () => {
    const frame = ['message', 'chat:lobby', 42, AT, 'ann', { text: 'hello' }] as const;
    expect(toHex(built('chat:lobby', 42, 'ann', { text: 'hello' }))).toBe(
      toHex(msgpackCodec.encode(frame) as Uint8Array),
    );
  });

  it('puts the offset at the same place for every frame of a room', () => {
    const places = [null, 'ann', 'b'.repeat(300)].map(
      (sender) => buildMessageFrame('salon:é中😀', AT, sender, packValue(sender)).offsetAt,
    );
    expect(new Set(places).size).toBe(1);
  });

  it.each([1, 31, 32, 33, 48, 49, 127, 128])('takes a room of %i bytes', (length) => {
    const room = 'r'.repeat(length);
    expect(decodeServerFrames(built(room, 1, null, 0))).toEqual([['message', room, 1, AT, null, 0]]);
  });

  it.each(['', 'é'.repeat(20), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(70_000)])(
    'takes a sender of any length',
    (sender) => {
      expect(decodeServerFrames(built('r', 1, sender, 0))).toEqual([['message', 'r', 1, AT, sender, 0]]);
    },
  );

  it('writes a sender with half a surrogate pair as valid UTF-8', () => {
    expect(decodeServerFrames(built('r', 1, 'a\ud800é', 0))).toEqual([
      ['message', 'r', 1, AT, 'a\ufffdé', 0],
    ]);
  });

  it.each([1, 4294967295, 4294967296, Number.MAX_SAFE_INTEGER])('holds the offset %i', (offset) => {
    expect(decodeServerFrames(built('r', offset, null, 0))).toEqual([['message', 'r', offset, AT, null, 0]]);
  });

  it('hands out frames that do not share bytes, also when many are built', () => {
    const frames = Array.from({ length: 2000 }, (_, at) => built('r', at + 1, 'ann', 'x'.repeat(at)));
    const texts = frames.map((frame) => decodeMessageFrames(frame)[0]?.[5] as string);
    expect(texts.map((text) => text.length)).toEqual(frames.map((_, at) => at));
  });

  it('keeps no view of the data that it was given', () => {
    const data = packValue('hello');
    const { frame } = buildMessageFrame('r', AT, null, data);
    data.fill(0xc1);
    expect(decodeServerFrames(frame)).toEqual([['message', 'r', 0, AT, null, 'hello']]);
  });
});

describe('runs of frames', () => {
  const frames = [
    built('r', 1, 'ann', 'one'),
    built('r', 2, null, { bin: Uint8Array.of(200) }),
    built('r', 3, 'b', 3),
  ];
  const run = concatBytes(frames);

  it('are cut into exactly the frames', () => {
    expect(splitFrames(run).map(toHex)).toEqual(frames.map(toHex));
    expect(splitFrames(new Uint8Array(0))).toEqual([]);
  });

  it('are refused where the last frame is not whole', () => {
    expect(() => splitFrames(run.subarray(0, run.length - 1))).toThrow(FrameError);
    expect(() => decodeMessageFrames(run.subarray(0, run.length - 1))).toThrow(FrameError);
  });

  it('are decoded in order', () => {
    expect(decodeMessageFrames(run).map((frame) => frame[2])).toEqual([1, 2, 3]);
    expect(decodeMessageFrames(new Uint8Array(0))).toEqual([]);
  });

  it.each(['01', '90', '91a4676f6e65', '92a26f6b01', '96a76d6573736167650101010101'])(
    'are refused where %s is among them',
    (hex) => {
      expect(() => decodeMessageFrames(fromHex(hex))).toThrow(FrameError);
    },
  );

  it('are refused where a frame is of another type', () => {
    const gap = serverFrames.find(({ name }) => name === 'gap');
    expect(() => decodeMessageFrames(concatBytes([run, gap!.bytes]))).toThrow(FrameError);
  });

  it('become one line of JSON each', () => {
    expect(jsonCodec.messages(run)).toBe(
      [
        `["message","r",1,${AT},"ann","one"]`,
        `["message","r",2,${AT},null,{"bin":"yA=="}]`,
        `["message","r",3,${AT},"b",3]`,
      ].join('\n'),
    );
  });

  it('become the same JSON whether or not a byte of them looks like bin', () => {
    const date = new Date(AT);
    const data = { text: 'Ąbc', nan: Number.NaN, date, inner: [Number.POSITIVE_INFINITY] };
    const plain = { ...data, text: 'Abc' };
    const text = (value: unknown) => jsonCodec.messages(built('r', 1, null, value)) as string;
    expect(text(data)).toBe(text(plain).replace('Abc', 'Ąbc'));
  });

  it('stay as they are for MessagePack connections', () => {
    expect(msgpackCodec.messages(run)).toBe(run);
  });

  it.each([msgpackCodec, jsonCodec])('go into the reply to a history request, $encoding', (codec) => {
    const reply = codec.encodeHistoryOk(7, 'k3v9x0ab', 3, run);
    const messages = decodeMessageFrames(run);
    expect(reply).toEqual(codec.encode(['ok', 7, { epoch: 'k3v9x0ab', offset: 3, messages }]));
  });
});

describe('the reply to a publish', () => {
  it.each([msgpackCodec, jsonCodec])('is the same on the fast path, $encoding', (codec) => {
    for (const [id, epoch, offset] of [
      [0, '', 0],
      [1, 'k3v9x0ab', 300],
      [2 ** 40, 'k3v9x0ab', 2 ** 53 - 1],
    ] as const) {
      expect(codec.encodePublishOk(id, epoch, offset, false)).toEqual(
        codec.encode(['ok', id, { epoch, offset }]),
      );
      expect(codec.encodePublishOk(id, epoch, offset, true)).toEqual(
        codec.encode(['ok', id, { epoch, offset, duplicate: true }]),
      );
    }
  });
});

describe('the count of codec calls', () => {
  it('does not move when frames are only filled in, relayed and joined', () => {
    const { frame, offsetAt } = buildMessageFrame('r', AT, null, packValue('x'));
    const before = { ...codecCalls };
    setFrameOffset(frame, offsetAt, 9);
    msgpackCodec.join([msgpackCodec.messages(frame), frame]);
    expect(codecCalls).toEqual(before);
  });

  it('counts each kind of work by itself', () => {
    const before = { ...codecCalls };
    const { frame } = buildMessageFrame('r', AT, null, packValue('x'));
    msgpackCodec.decodeCommands(fromHex('92a470696e6701'));
    msgpackCodec.encode(['gap', 'r', 1, 2]);
    jsonCodec.encode(['gap', 'r', 1, 2]);
    jsonCodec.messages(frame);
    expect(codecCalls).toEqual({
      decodeCommands: before.decodeCommands + 1,
      encode: before.encode + 2,
      buildMessage: before.buildMessage + 1,
      decodeMessage: before.decodeMessage + 1,
      transcode: before.transcode + 1,
    });
  });
});
