import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, DecodedCommand } from '../../src/protocol/frames.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { commandBatches, commands, fromHex, malformed } from './vectors.ts';

const utf8 = new TextEncoder();

function outcome(command: DecodedCommand): unknown {
  return command.type === 'rejected' ? { rejected: command.code, id: command.id } : command.type;
}

describe('malformed messages', () => {
  it.each(malformed)('$name: leads to what the table says', ({ message, outcome: expected }) => {
    const decoded =
      typeof message === 'string'
        ? jsonCodec.decodeCommands(utf8.encode(message))
        : msgpackCodec.decodeCommands(message);
    expect(decoded.map(outcome)).toEqual(expected);
  });

  it('say what is wrong in words that do not repeat the payload', () => {
    const secret = 'swordfish';
    const frame = ['publish', 1, `${secret}*`, secret, { key: secret.repeat(10) }] as const;
    for (const decoded of both(frame)) expect(JSON.stringify(decoded)).not.toContain(secret);
  });

  it('are undecodable as JSON where the text is not UTF-8', () => {
    const text = concatBytes([
      utf8.encode('["ping",1]\n["ping",2,"'),
      Uint8Array.of(0xff),
      utf8.encode('"]'),
    ]);
    expect(jsonCodec.decodeCommands(text).map(outcome)).toEqual(['undecodable']);
  });
});

function both(frame: readonly unknown[]): DecodedCommand[][] {
  const bytes = encodeCommand(frame as unknown as CommandFrame, 'msgpack') as Uint8Array;
  return [msgpackCodec.decodeCommands(bytes), jsonCodec.decodeCommands(utf8.encode(JSON.stringify(frame)))];
}

describe('truncated and corrupted MessagePack', () => {
  it.each(commands)('$name: cut anywhere, it is undecodable', ({ bytes }) => {
    for (let length = 1; length < bytes.length; length++) {
      expect(msgpackCodec.decodeCommands(bytes.slice(0, length)).map(outcome)).toEqual(['undecodable']);
    }
  });

  it.each(commands)('$name: cut by a view, the bytes beyond are not read', ({ bytes }) => {
    for (let length = 1; length < bytes.length; length++) {
      expect(msgpackCodec.decodeCommands(bytes.subarray(0, length)).map(outcome)).toEqual(['undecodable']);
    }
  });

  it.each([...commands, ...commandBatches])(
    '$name: any byte changed to any other, nothing is thrown',
    ({ bytes }) => {
      const broken = bytes.slice();
      for (let at = 0; at < bytes.length; at++) {
        for (let byte = 0; byte < 256; byte++) {
          broken[at] = byte;
          const types = msgpackCodec.decodeCommands(broken).map(({ type }) => type);
          const end = types.indexOf('undecodable');
          if (types.length === 0 || (end !== -1 && end !== types.length - 1))
            expect.fail(`${at}: ${byte}: ${types}`);
        }
        broken[at] = bytes[at]!;
      }
    },
  );
});

describe('hostile MessagePack', () => {
  it('with a million open arrays is refused without deep recursion', () => {
    expect(msgpackCodec.decodeCommands(new Uint8Array(1_000_000).fill(0x91)).map(outcome)).toEqual([
      'undecodable',
    ]);
    const closed = concatBytes([new Uint8Array(1_000_000).fill(0x91), Uint8Array.of(0xc0)]);
    expect(msgpackCodec.decodeCommands(closed).map(outcome)).toEqual([{ rejected: 'bad_frame', id: 0 }]);
  });

  it('with a million nested maps is refused without deep recursion', () => {
    const nested = new Uint8Array(3_000_000).map((_, at) => [0x81, 0xa1, 0x61][at % 3]!);
    const closed = concatBytes([nested, Uint8Array.of(0xc0)]);
    expect(msgpackCodec.decodeCommands(closed).map(outcome)).toEqual([{ rejected: 'bad_frame', id: 0 }]);
  });

  it('that declares lengths that cannot be true is refused before anything of that length is made', () => {
    for (const lead of ['dd', 'df', 'db', 'c6', 'c9']) {
      const bytes = fromHex(`94a77075626c69736801a172${lead}fffffff0`);
      expect(msgpackCodec.decodeCommands(bytes).map(outcome)).toEqual(['undecodable']);
    }
  });

  it('that nests impossible lengths does not overflow a count', () => {
    const maps = new Uint8Array(5 * 100_000).map((_, at) => (at % 5 === 0 ? 0xdf : 0xff));
    expect(msgpackCodec.decodeCommands(maps).map(outcome)).toEqual(['undecodable']);
  });

  it('of tens of thousands of values that are no frames shares one answer for all of them', () => {
    const decoded = msgpackCodec.decodeCommands(new Uint8Array(65_536).fill(1));
    expect(decoded).toHaveLength(65_536);
    expect(new Set(decoded).size).toBe(1);
  });
});

describe('hostile JSON', () => {
  it('with a million open arrays is refused', () => {
    const deep = `["publish",5,"r",${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}]`;
    expect(jsonCodec.decodeCommands(utf8.encode(deep)).map(outcome)).toEqual([
      { rejected: 'bad_frame', id: 5 },
    ]);
    expect(jsonCodec.decodeCommands(utf8.encode('['.repeat(1_000_000))).map(outcome)).toEqual([
      'undecodable',
    ]);
  });
});
