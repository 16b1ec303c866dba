/** Properties over random input. fast-check prints the seed and the smallest input of a failure. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeServerFrames, encodeCommand } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import { FrameError } from '../../src/protocol/frame-error.ts';
import type { DecodedCommand } from '../../src/protocol/frames.ts';
import { utf8Length } from '../../src/protocol/limits.ts';
import { buildMessageFrame, setFrameOffset, splitFrames } from '../../src/protocol/message-frame.ts';
import { scanValue, skipValue } from '../../src/protocol/msgpack/scanner.ts';
import { isUtf8 } from '../../src/protocol/msgpack/utf8.ts';
import { packValue, unpackValue } from '../../src/protocol/msgpack/values.ts';
import { concatBytes } from '../../src/util/bytes.ts';

const text = fc.string({ unit: 'binary', maxLength: 80 });
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    text,
    fc.date({ noInvalidDate: true }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
}));
const room = fc.stringMatching(/^[a-z:]{1,40}$/);
const position = fc.maxSafeNat();

describe('for any value', () => {
  it('what is packed, built into a frame and read by a client is the value', () => {
    fc.assert(
      fc.property(room, position, position, fc.option(text), value, (name, time, offset, sender, data) => {
        const { frame, offsetAt } = buildMessageFrame(name, time, sender, packValue(data));
        setFrameOffset(frame, offsetAt, offset);
        expect(decodeServerFrames(frame)).toEqual([['message', name, offset, time, sender, data]]);
      }),
      { numRuns: 500 },
    );
  });

  it('a publish carries exactly the packed bytes', () => {
    fc.assert(
      fc.property(room, position, value, (name, id, data) => {
        const bytes = encodeCommand(['publish', id, name, data], 'msgpack') as Uint8Array;
        expect(msgpackCodec.decodeCommands(bytes)).toEqual([
          {
            type: 'publish',
            id,
            room: name,
            data: packValue(data),
            key: null,
            echo: true,
            ephemeral: false,
            conflateKey: null,
          },
        ]);
      }),
      { numRuns: 300 },
    );
  });

  it('cut anywhere, it is not taken for a value', () => {
    fc.assert(
      fc.property(value, fc.nat(), (data, cut) => {
        const bytes = packValue(data);
        expect(scanValue(bytes, 0, cut % bytes.length, 64)).toBeLessThan(0);
      }),
    );
  });

  it('scanning and skipping agree on where it ends, whatever follows', () => {
    fc.assert(
      fc.property(value, fc.uint8Array({ maxLength: 20 }), (data, rest) => {
        const bytes = packValue(data);
        const all = concatBytes([bytes, rest]);
        expect(scanValue(all, 0, all.length, 64)).toBe(bytes.length);
        expect(skipValue(all, 0, all.length)).toBe(bytes.length);
      }),
    );
  });

  it('runs of frames are cut exactly where they were joined', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 8 }), (payloads) => {
        const frames = payloads.map((data) => buildMessageFrame('r', 1, null, packValue(data)).frame);
        expect(splitFrames(concatBytes(frames))).toEqual(frames);
      }),
    );
  });
});

describe('for any JSON value', () => {
  it('what a JSON connection publishes is what a JSON connection reads', () => {
    // A key `__proto__` is renamed on the way: another test has that.
    const json = fc
      .jsonValue({ stringUnit: 'binary' })
      .filter((data) => !JSON.stringify(data).includes('__proto__'));
    fc.assert(
      fc.property(json, (data) => {
        const sent = JSON.stringify(['publish', 1, 'r', data]);
        const [command] = jsonCodec.decodeCommands(new TextEncoder().encode(sent));
        if (command?.type !== 'publish') throw new Error(`not a publish: ${JSON.stringify(command)}`);
        const { frame } = buildMessageFrame('r', 1, null, command.data);
        // As text, because JSON has one zero.
        expect(jsonCodec.messages(frame)).toBe(JSON.stringify(['message', 'r', 0, 1, null, data]));
      }),
      { numRuns: 500 },
    );
  });
});

/** At most one `undecodable`, and that at the end. */
function isWellOrdered(decoded: readonly DecodedCommand[]): boolean {
  return decoded.every(({ type }, at) => type !== 'undecodable' || at === decoded.length - 1);
}

describe('for any bytes', () => {
  // Bytes that begin like MessagePack get further than even noise does.
  const likely = fc.oneof(
    fc.constantFrom(
      0x81,
      0x82,
      0x91,
      0x94,
      0xa1,
      0xc0,
      0xc4,
      0xc7,
      0xcb,
      0xcf,
      0xd3,
      0xd6,
      0xd9,
      0xdc,
      0xdd,
      0xde,
      0xdf,
    ),
    fc.integer({ min: 0, max: 255 }),
  );
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(likely, { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes)),
  );
  const head = Uint8Array.of(0x94, 0xa7, 0x70, 0x75, 0x62, 0x6c, 0x69, 0x73, 0x68, 1, 0xa1, 0x72);

  it('decodeCommands does not throw', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(isWellOrdered(msgpackCodec.decodeCommands(bytes))).toBe(true);
        expect(isWellOrdered(jsonCodec.decodeCommands(bytes))).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('a payload that a node accepts can be read by a client', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        const [command] = msgpackCodec.decodeCommands(concatBytes([head, bytes]));
        if (command?.type !== 'publish') return;
        const { frame } = buildMessageFrame('r', 1, null, command.data);
        expect(decodeServerFrames(frame)).toHaveLength(1);
        expect(decodeServerFrames(jsonCodec.messages(frame))).toHaveLength(1);
      }),
      { numRuns: 3000 },
    );
  });

  it('a client reads frames or throws a FrameError', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        try {
          expect(Array.isArray(decodeServerFrames(bytes))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('isUtf8 agrees with the platform', () => {
    const strict = new TextDecoder('utf-8', { fatal: true });
    const near = fc.array(
      fc.constantFrom(0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(near, (units) => {
        const bytes = Uint8Array.from(units);
        let valid = true;
        try {
          strict.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          valid = false;
        }
        expect(isUtf8(bytes, 0, bytes.length)).toBe(valid);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('for any text', () => {
  it('decodeCommands of JSON does not throw', () => {
    const line = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.json().map((json) => `["publish",1,"r",${json}]`),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), (lines) => {
        const bytes = new TextEncoder().encode(lines.join('\n'));
        expect(isWellOrdered(jsonCodec.decodeCommands(bytes))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('utf8Length is what the platform writes, half surrogate pairs too', () => {
    const units = fc.array(fc.constantFrom(0x41, 0xe9, 0x4e2d, 0xd83d, 0xde00), { maxLength: 8 });
    fc.assert(
      fc.property(units, (codes) => {
        const string = String.fromCharCode(...codes);
        expect(utf8Length(string)).toBe(new TextEncoder().encode(string).length);
        expect(unpackValue(packValue(string))).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(string)),
        );
      }),
      { numRuns: 1000 },
    );
  });
});
