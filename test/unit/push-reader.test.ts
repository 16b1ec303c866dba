import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PushKind, PushReader } from '../../src/backplane/redis/subscribe/push-reader.ts';

function bulk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}

function message(channel: Uint8Array, payload: Uint8Array, kind: PushKind = 'message'): Buffer {
  return Buffer.concat([Buffer.from('*3\r\n'), bulk(Buffer.from(kind)), bulk(channel), bulk(payload)]);
}

/** Neighbours of the same kind are one, as only the order between kinds is promised. */
class Log {
  readonly lines: string[] = [];
  readonly reader: PushReader;

  constructor(kind?: PushKind) {
    const push = (channel: string, payload: Buffer) => {
      this.lines.push(`push ${channel} ${payload.toString('latin1')}`);
    };
    this.reader = new PushReader({ push, rest: (bytes) => this.#rest(bytes.toString('latin1')) }, kind);
  }

  #rest(text: string): void {
    if (this.lines.at(-1)?.startsWith('rest ')) this.lines.push(this.lines.pop() + text);
    else this.lines.push(`rest ${text}`);
  }
}

function read(chunks: readonly Buffer[], kind?: PushKind): string[] {
  const log = new Log(kind);
  for (const chunk of chunks) log.reader.write(chunk);
  return log.lines;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
/** Looks like what it is not. */
const tricky = fc.constantFrom(
  message(Buffer.from('a'), Buffer.from('b')),
  Buffer.from('\r\n'),
  Buffer.from('$-1\r\n'),
  Buffer.from('*3\r\n$7\r\nmessage\r\n'),
);
const payload = fc.oneof(bytes(60), tricky);
const push = fc.tuple(bytes(20), payload).map(([channel, body]) => message(channel, body));
const reply: fc.Arbitrary<Buffer> = fc.letrec<{ reply: Buffer }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 2 },
    fc
      .constantFrom('+OK\r\n', '-ERR no\r\n', ':-12\r\n', '$-1\r\n', '*-1\r\n')
      .map((text) => Buffer.from(text)),
    payload.map(bulk),
    fc
      .array(tie('reply'), { maxLength: 4 })
      .map((items) => Buffer.concat([Buffer.from(`*${items.length}\r\n`), ...items])),
    fc
      .constantFrom('subscribe', 'unsubscribe', 'messages')
      .map((kind) =>
        Buffer.concat([
          Buffer.from('*3\r\n'),
          bulk(Buffer.from(kind)),
          bulk(Buffer.from('c')),
          Buffer.from(':1\r\n'),
        ]),
      ),
  ),
})).reply;

describe('a push reader', () => {
  it('hands on pushes, and everything else in its place', () => {
    const confirmed = '*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n';
    const stream = [Buffer.from('+OK\r\n'), message(Buffer.from('c'), Buffer.from('one'))];
    stream.push(message(Buffer.from('c'), Buffer.from('')), Buffer.from(`${confirmed}:1\r\n`));
    expect(read([Buffer.concat(stream)])).toEqual([
      'rest +OK\r\n',
      'push c one',
      'push c ',
      `rest ${confirmed}:1\r\n`,
    ]);
  });

  it('of sharded channels hands on their pushes, and those of others as the rest', () => {
    const sharded = message(Buffer.from('c'), Buffer.from('one'), 'smessage');
    const other = message(Buffer.from('c'), Buffer.from('two'));
    const lost = '*3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n';
    const stream = Buffer.concat([sharded, other, Buffer.from(lost), sharded]);
    const lines = ['push c one', `rest ${other}${lost}`, 'push c one'];
    expect(read([stream], 'smessage')).toEqual(lines);
    expect(
      read(
        Array.from(stream, (byte) => Buffer.of(byte)),
        'smessage',
      ),
    ).toEqual(lines);
  });

  it('reads the same from any chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(push, reply), { maxLength: 12 }), fc.array(fc.nat()), (parts, places) => {
        const stream = Buffer.concat(parts);
        const lines = read(parts);
        expect(read([stream])).toEqual(lines);
        expect(read(cut(stream, places))).toEqual(lines);
        expect(read(Array.from(stream, (byte) => Buffer.of(byte)))).toEqual(lines);
      }),
      { numRuns: 500 },
    );
  });

  it('gives every byte that is no push to the rest', () => {
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 8 }), fc.array(fc.nat()), (parts, places) => {
        const stream = Buffer.concat(parts);
        expect(read(cut(stream, places)).join('')).toBe(
          stream.length === 0 ? '' : `rest ${stream.toString('latin1')}`,
        );
      }),
    );
  });

  it('copies a payload of many chunks once', () => {
    const large = Buffer.alloc(4 * 1024 * 1024, 'x');
    const stream = message(Buffer.from('c'), large);
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; at += 512) chunks.push(stream.subarray(at, at + 512));
    let copied = 0;
    const concat = Buffer.concat;
    Buffer.concat = (list, length) => {
      copied += length ?? 0;
      return concat(list, length);
    };
    const lines = read(chunks);
    Buffer.concat = concat;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toHaveLength(large.length + 'push c '.length);
    expect(copied).toBeLessThan(stream.length + 1024);
  });
});
