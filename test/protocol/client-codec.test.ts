import { describe, expect, it } from 'vitest';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import { FrameError } from '../../src/protocol/frame-error.ts';
import { buildMessageFrame } from '../../src/protocol/message-frame.ts';
import { PackError } from '../../src/protocol/msgpack/writer.ts';
import { fromHex, serverFrames } from './vectors.ts';

describe('decodeServerFrames', () => {
  it.each(['c1', '01', '90', '9101', '93a26f6b01', '92a26f6b01', '93a26f6ba131a0', '94a3676170a17201a132'])(
    'throws a FrameError for the bytes %s',
    (hex) => {
      expect(() => decodeServerFrames(fromHex(hex))).toThrow(FrameError);
    },
  );

  it.each(['{', 'null', '{}', '[]', '[1]', '["ok",1]', '["ok","1",{}]', '["gap","r",1,"2"]', '["hello",[]]'])(
    'throws a FrameError for the text %s',
    (text) => {
      expect(() => decodeServerFrames(text)).toThrow(FrameError);
    },
  );

  it.each(serverFrames)('$name: cut anywhere, it throws a FrameError', ({ bytes }) => {
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeServerFrames(bytes.slice(0, length))).toThrow(FrameError);
    }
  });

  it('accepts an ArrayBuffer, as browsers give it', () => {
    expect(decodeServerFrames(fromHex('94a3676170a1720102').slice().buffer)).toEqual([['gap', 'r', 1, 2]]);
  });

  it('lets frames of a newer type and further elements through', () => {
    expect(decodeServerFrames('["shout",1]\n["constructor"]\n["gap","r",1,2,"more"]')).toEqual([
      ['shout', 1],
      ['constructor'],
      ['gap', 'r', 1, 2, 'more'],
    ]);
  });

  it('gives nothing for an empty message', () => {
    expect(decodeServerFrames(new Uint8Array(0))).toEqual([]);
    expect(decodeServerFrames('\n')).toEqual([]);
  });

  it('reads a payload of the greatest depth also inside a history reply', () => {
    const data = new Uint8Array(64).fill(0x91);
    data[63] = 0xc0;
    const { frame } = buildMessageFrame('r', 1, null, data);
    expect(decodeServerFrames(frame)).toHaveLength(1);
    const head = fromHex('93a26f6b0181a86d6573736167657391');
    const reply = new Uint8Array([...head, ...frame]);
    expect(decodeServerFrames(reply)).toHaveLength(1);
  });
});

describe('encodeCommand', () => {
  it('throws a PackError for a payload that is nested too deeply', () => {
    let data: unknown = null;
    for (let i = 0; i < 64; i++) data = [data];
    expect(() => encodeCommand(['publish', 1, 'r', data], 'msgpack')).toThrow(PackError);
  });
});
