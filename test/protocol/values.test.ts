import { describe, expect, it } from 'vitest';
import { jsonCodec } from '../../src/protocol/codec.ts';
import { FrameError } from '../../src/protocol/frame-error.ts';
import { packValue, unpackValue } from '../../src/protocol/msgpack/values.ts';
import { PackError } from '../../src/protocol/msgpack/writer.ts';
import { fromHex, toHex } from './vectors.ts';

describe('packValue', () => {
  it('treats what JSON has no word for as JSON.stringify does', () => {
    class Point {
      readonly x = 1;
      readonly hidden = undefined;
      norm(): number {
        return this.x;
      }
    }
    const value = { a: undefined, b: () => 1, c: [undefined, Symbol('s'), () => 1], d: new Point(), e: /x/ };
    expect(unpackValue(packValue(value))).toEqual(JSON.parse(JSON.stringify(value)));
    expect(unpackValue(packValue(undefined))).toBeNull();
  });

  it('keeps bytes of every kind as bytes', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    for (const view of [
      bytes,
      Buffer.from(bytes),
      bytes.buffer,
      new DataView(bytes.buffer),
      new Uint16Array(bytes.buffer),
    ]) {
      expect(toHex(packValue(view))).toBe('c40401020304');
    }
    expect(toHex(packValue(new Uint8Array(bytes.buffer, 1, 2)))).toBe('c4020203');
  });

  it('writes Map and Set as a map and an array', () => {
    const value = {
      map: new Map<unknown, unknown>([
        ['a', 1],
        [2, 'b'],
      ]),
      set: new Set([1, 2]),
    };
    expect(unpackValue(packValue(value))).toEqual({ map: { a: 1, '2': 'b' }, set: [1, 2] });
  });

  it('writes BigInts that fit 53 bits as integers and throws for others', () => {
    expect(packValue(2n ** 40n)).toEqual(packValue(2 ** 40));
    expect(packValue(-(2n ** 53n) + 1n)).toEqual(packValue(-Number.MAX_SAFE_INTEGER));
    expect(() => packValue(2n ** 53n)).toThrow(PackError);
  });

  it('obeys toJSON, also one that packs something itself', () => {
    const inner = { toJSON: () => ({ packed: packValue([1, 2]) }) };
    expect(unpackValue(packValue(['before', inner, 'after']))).toEqual([
      'before',
      { packed: Uint8Array.of(0x92, 1, 2) },
      'after',
    ]);
  });

  it('writes an invalid date as nil', () => {
    expect(toHex(packValue(new Date(Number.NaN)))).toBe('c0');
  });

  it('writes dates to the ends of what a Date can be', () => {
    for (const date of [new Date(8.64e15), new Date(-8.64e15), new Date(-1500)]) {
      expect(unpackValue(packValue(date))).toEqual(date);
    }
  });

  it('writes U+FFFD for half a surrogate pair, however long the string', () => {
    for (const around of ['', 'a'.repeat(20), 'a'.repeat(200), 'a'.repeat(1000), 'é'.repeat(30_000)]) {
      for (const half of ['\ud800', '\udc00', '\ud800é', '\udc00\ud800', '\ud83d\ud83d\ude00']) {
        const text = `${around}${half}${around}`;
        expect(unpackValue(packValue(text))).toBe(Buffer.from(text, 'utf8').toString('utf8'));
      }
    }
  });

  it('throws for a circle and for more than 63 levels, and works on afterwards', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => packValue(circle)).toThrow(PackError);
    expect(() => packValue(nested(64))).toThrow(PackError);
    expect(toHex(packValue(nested(63)))).toBe(`${'91'.repeat(62)}90`);
    expect(toHex(packValue('a'))).toBe('a161');
  });

  it('gives every caller bytes of its own', () => {
    const first = packValue('first');
    packValue('second');
    expect(unpackValue(first)).toBe('first');
  });

  it('writes maps and arrays of more than 65,535 elements', () => {
    const array = Array.from({ length: 70_000 }, (_, at) => at);
    const map = Object.fromEntries(array.map((at) => [`k${at}`, at]));
    expect(unpackValue(packValue(array))).toEqual(array);
    expect(unpackValue(packValue(map))).toEqual(map);
  });
});

function nested(levels: number): unknown {
  return levels === 0 ? null : Array.from({ length: levels === 1 ? 0 : 1 }, () => nested(levels - 1));
}

describe('unpackValue', () => {
  // The body of an HTTP request goes through here, too.
  it.each([
    ...['', '0101', 'c1', '92', 'd40500', 'a1ff', '810101', 'cf0020000000000000', '91'.repeat(64)],
    ...[
      'd7ffee6b28006553f100',
      'c70cff3b9aca000000000000000000',
      '91d7fffffffffc00000000',
      'c708ffee6b280000000000',
    ],
  ])('throws a FrameError for %s', (hex) => {
    expect(() => unpackValue(fromHex(hex))).toThrow(FrameError);
  });

  it('gives numbers, not BigInts, for integers of 64 bits', () => {
    expect(unpackValue(fromHex('93cf001fffffffffffffd30000000000000001d3ffe0000000000001'))).toEqual([
      Number.MAX_SAFE_INTEGER,
      1,
      -Number.MAX_SAFE_INTEGER,
    ]);
  });

  it('gives bytes as plain Uint8Arrays also from a Buffer', () => {
    const bytes = unpackValue(Buffer.from('c40201ff', 'hex'));
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  });
});

describe('keys that would reach a prototype', () => {
  const hostile = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":"x"}';

  it('come through MessagePack without touching one', () => {
    const value = unpackValue(packValue(JSON.parse(hostile))) as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(value.polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(value.constructor).toEqual({ prototype: { polluted: 1 } });
    expect(value.toString).toBe('x');
  });

  it('do not act as options of a command', () => {
    const text = '["publish",1,"r","x",{"__proto__":{"echo":false,"key":"k"}}]';
    const [command] = jsonCodec.decodeCommands(new TextEncoder().encode(text));
    expect(command).toMatchObject({ type: 'publish', echo: true, key: null });
  });
});
