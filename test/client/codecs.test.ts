/** Both codecs of the client against the vectors that every client is held by, and against the node's own reader. */
import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../src/client/codec.ts';
import { jsonCodec } from '../../src/client/json-codec.ts';
import { msgpackCodec } from '../../src/client/msgpack-codec.ts';
import { unpackAll } from '../../src/client/unpack.ts';
import { msgpackCodec as nodeCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, PublishOptions } from '../../src/protocol/frames.ts';
import { packValue } from '../../src/protocol/msgpack/pack.ts';
import { unpackValue } from '../../src/protocol/msgpack/values.ts';
import { commands, serverBatches, serverFrames, toHex, values } from '../protocol/vectors.ts';
import { Random } from '../support/random.ts';

const hex = (chunk: Chunk) => toHex(chunk as Uint8Array);

describe('a client that speaks MessagePack', () => {
  it.each(commands)('$name: writes exactly these bytes', ({ value, bytes }) => {
    expect(hex(msgpackCodec.encode(value as CommandFrame))).toBe(toHex(bytes));
  });

  it.each(commands.filter(({ value }) => (value as unknown[])[0] === 'publish' && (value as unknown[])[4]))(
    '$name: writes exactly these bytes around a payload that is packed already',
    ({ value, bytes }) => {
      const [, id, room, data, options] = value as ['publish', number, string, unknown, PublishOptions];
      expect(hex(msgpackCodec.encodePublish(id, room, msgpackCodec.pack(data), options))).toBe(toHex(bytes));
    },
  );

  it.each([...serverFrames, ...serverBatches])('$name: reads the frames', ({ value, bytes }) => {
    const frames = Array.isArray((value as unknown[])[0]) ? value : [value];
    expect(msgpackCodec.decode(bytes)).toEqual(frames);
    expect(msgpackCodec.decode(bytes.slice().buffer)).toEqual(frames);
  });

  it.each(values)('$name: packs and unpacks the value', ({ value, bytes }) => {
    expect(hex(msgpackCodec.pack(value))).toBe(toHex(bytes));
    expect(unpackAll(bytes)).toEqual([value]);
  });

  it.each(serverFrames)('$name: cut anywhere, it is refused', ({ bytes }) => {
    for (let length = 1; length < bytes.length; length++) {
      expect(() => msgpackCodec.decode(bytes.slice(0, length))).toThrow();
    }
  });

  it.each(['c1', '01', '90', '9101', '93a26f6b01', 'a0', 'd40000', '3c68746d6c3e'])(
    'refuses the bytes %s, which are no frame',
    (bytes) => {
      expect(() => msgpackCodec.decode(Buffer.from(bytes, 'hex'))).toThrow();
    },
  );

  it('refuses a text, and bytes that promise more than they hold', () => {
    expect(() => msgpackCodec.decode('<html>')).toThrow();
    expect(() => msgpackCodec.decode(Buffer.from('ddffffffff', 'hex'))).toThrow();
    expect(() => msgpackCodec.decode(Buffer.from('dfffffffff', 'hex'))).toThrow();
  });

  it('reads what the node reads, for bytes at random', () => {
    const dice = new Random(20_261_126);
    for (let i = 0; i < 20_000; i++) {
      const bytes = new Uint8Array(dice.bytes(dice.whole(1, 12)));
      const node = attempt(() => unpackValue(bytes));
      // The node refuses more, such as map keys that are no strings; what it accepts must mean the same here.
      if (node.isRefused) continue;
      expect({ hex: toHex(bytes), values: unpackAll(bytes) }).toEqual({
        hex: toHex(bytes),
        values: [node.value],
      });
    }
  });

  it('keeps __proto__ out of prototypes', () => {
    const bytes = packValue(new Map([['__proto__', { polluted: true }]]));
    const [value] = unpackAll(bytes) as [Record<string, unknown>];
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(value.polluted).toBeUndefined();
  });
});

describe('a client that speaks JSON', () => {
  it.each(commands.filter(({ value }) => !JSON.stringify(value).includes('"0":')))(
    '$name: writes a text that the node reads as the same command',
    ({ value, json }) => {
      if (!json.includes('"key":"'))
        expect(JSON.parse(jsonCodec.encode(value as CommandFrame) as string)).toEqual(JSON.parse(json));
    },
  );

  it.each([...serverFrames, ...serverBatches])('$name: reads the frames', ({ json }) => {
    const lines = json.split('\n').map((line) => JSON.parse(line) as unknown);
    expect(jsonCodec.decode(json)).toEqual(lines);
  });

  it('puts a payload into its frame as it is, and no payload as null', () => {
    expect(jsonCodec.encodePublish(7, 'a"b', jsonCodec.pack({ x: 1 }), { key: 'k' })).toBe(
      '["publish",7,"a\\"b",{"x":1},{"key":"k"}]',
    );
    expect(jsonCodec.pack(undefined)).toBe('null');
  });

  it.each(['<html>', '{', '{}', '[]', '[1]', 'null', '7', new ArrayBuffer(1)])(
    'refuses %j, which is no frame',
    (message) => {
      expect(() => jsonCodec.decode(message)).toThrow();
    },
  );

  it('counts the bytes of UTF-8', () => {
    expect(jsonCodec.sizeOf('aé€😀')).toBe(10);
  });
});

describe('the node', () => {
  it('reads what the client writes', () => {
    const chunk = msgpackCodec.encodePublish(7, 'r', msgpackCodec.pack({ x: [1, 'a', null] }), { key: 'k' });
    const [command] = nodeCodec.decodeCommands(chunk as Uint8Array);
    expect(command).toMatchObject({ type: 'publish', id: 7, room: 'r', key: 'k' });
    expect(command?.type === 'publish' && unpackValue(command.data)).toEqual({ x: [1, 'a', null] });
  });
});

function attempt<T>(work: () => T): { value?: T; isRefused: boolean } {
  try {
    return { value: work(), isRefused: false };
  } catch {
    return { isRefused: true };
  }
}
