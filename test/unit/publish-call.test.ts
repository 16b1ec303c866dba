import { Command } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { PublishRequest } from '../../src/backplane/backplane.ts';
import {
  draftBytes,
  finishEnvelope,
  MAX_PUBLISHED_ON,
  writeDraft,
  writePublishOptions,
} from '../../src/backplane/envelope.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { publishCall } from '../../src/backplane/redis/publish/publish-call.ts';
import { publishScript } from '../../src/backplane/redis/scripts/scripts.ts';
import { RoomBatch } from '../../src/backplane/room-batch.ts';
import { buildMessageFrame, buildSignalFrame } from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';

const HISTORY = { messages: 256, ageMs: 60_000 };
const UNKEPT = { messages: 0, ageMs: 60_000 };
const OPTIONS = { nodeId: 'n0de0001', sentAtMs: 1_700_000_000_000, head: ['epoch001', '1000', '60', ''] };

function batch(
  room: string,
  messages: readonly { text: string; key?: string; exclude?: number; id?: string }[],
  build = buildMessageFrame,
  history = HISTORY,
): RoomBatch {
  const batch = new RoomBatch(room, history, 0);
  for (const { text, key = null, exclude = 0, id } of messages) {
    const frame = build(room, 1_700_000_000_123, 'ann', packValue(text));
    const request: PublishRequest = {
      room,
      history,
      ...frame,
      key,
      exclude,
      conflation: id === undefined ? null : Buffer.from(id),
      settled: () => undefined,
    };
    batch.add(request);
  }
  return batch;
}

/** As ioredis writes it, from arguments. */
function expected(batches: readonly RoomBatch[], keys: Keys): Buffer {
  const names: string[] = [];
  const args: (string | Buffer)[] = [...OPTIONS.head];
  for (const { room, requests, history, keyed } of batches) {
    names.push(keys.meta(room), keys.log(room));
    if (history.messages === 0 && requests.some(({ conflation }) => conflation))
      names.push(keys.newest(room));
    const draft = Buffer.alloc(draftBytes(requests));
    writeDraft(draft, 0, requests, OPTIONS.nodeId, OPTIONS.sentAtMs);
    writePublishOptions(draft, 0, history, keyed);
    args.push(draft);
    const indexes = requests.flatMap(({ key }, index) => (key === null ? [] : [index >> 8, index & 255]));
    if (keyed > 0) args.push(Buffer.from(indexes));
    for (const { key } of requests) if (key !== null) names.push(keys.dedup(room, key));
  }
  const words = [publishScript.sha, String(names.length), ...names, ...args];
  return Buffer.from(new Command('evalsha', words).toWritable({}));
}

describe('a publish call of a cluster', () => {
  it('declares no keys: they come after the other arguments, and then how many they are', () => {
    const keys = new Keys('rc', 4);
    const one = batch('room', [{ text: 'a', key: 'k' }]);
    const bytes = publishCall([one], keys, { ...OPTIONS, isCluster: true }, Buffer.alloc(0));
    const words = bulkStrings(bytes);
    expect(words.slice(0, 7)).toEqual([
      'evalsha',
      publishScript.shaOfMany({ isCluster: true }),
      '0',
      ...OPTIONS.head,
    ]);
    expect(words.slice(-4)).toEqual([keys.meta('room'), keys.log('room'), keys.dedup('room', 'k'), '3']);
    expect(words).toHaveLength(Number(/^\*(\d+)/.exec(bytes.toString('latin1'))?.[1]));
  });
});

describe('a draft in a publish call', () => {
  const draftOf = (history: typeof HISTORY, publishedOn: number, build = buildMessageFrame) => {
    const one = batch('room', [{ text: 'a' }], build, history);
    const bytes = publishCall([one], new Keys('rc', 4), { ...OPTIONS, publishedOn }, Buffer.alloc(0));
    return bytes.readUInt32BE(bytes.indexOf(OPTIONS.nodeId) - 10);
  };

  it('says on which server it was published, where nothing is numbered', () => {
    expect(draftOf(UNKEPT, 5)).toBe(5 * 2 ** 17);
    expect(draftOf(UNKEPT, 5, buildSignalFrame)).toBe(5 * 2 ** 17);
    expect(draftOf(UNKEPT, MAX_PUBLISHED_ON)).toBe(MAX_PUBLISHED_ON * 2 ** 17);
    expect(draftOf(HISTORY, 5)).toBe(HISTORY.messages);
  });

  it('says the same where no script is needed', () => {
    const draft = batch('room', [{ text: 'a' }]).draft('n0de0001', 1, 5);
    expect(finishEnvelope(draft, '', 0).publishedOn).toBe(5);
  });
});

/** What a command consists of. */
function bulkStrings(bytes: Buffer): string[] {
  const words: string[] = [];
  let at = bytes.indexOf('\r\n') + 2;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n', at);
    const length = Number(bytes.toString('latin1', at + 1, end));
    words.push(bytes.toString('latin1', end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
  return words;
}

describe('a publish call', () => {
  const batches = [
    batch('lobby', [{ text: 'a' }]),
    batch('żółć 🦊', [{ text: 'x'.repeat(5000), key: 'ключ' }, { text: '' }, { text: 'c', key: 'k' }]),
    batch('other', [{ text: 'a', exclude: 7 }, { text: 'b' }]),
    batch('żółć 🦊', [{ text: 'a', key: 'k', id: 'conflate', exclude: 3 }, { text: 'b' }]),
    batch(
      'żółć 🦊',
      [
        { text: 'a', id: 'conflate' },
        { text: 'b', key: 'k' },
      ],
      buildMessageFrame,
      UNKEPT,
    ),
    batch('other', [{ text: 'signal' }, { text: 'another' }], buildSignalFrame),
  ];

  it.each([
    ['rc', 1],
    ['präfix', 16_384],
  ])('is what ioredis would have written, with prefix %s', (prefix, partitions) => {
    const keys = new Keys(prefix, partitions);
    expect(publishCall(batches, keys, OPTIONS, Buffer.alloc(0)).equals(expected(batches, keys))).toBe(true);
  });

  it('begins the space that it is given, where it fits', () => {
    const keys = new Keys('rc', 16);
    const space = Buffer.alloc(64 * 1024, 'x');
    const call = publishCall(batches, keys, OPTIONS, space);
    expect(call.buffer).toBe(space.buffer);
    expect(call.byteOffset).toBe(space.byteOffset);
    expect(call.equals(expected(batches, keys))).toBe(true);
    expect(publishCall(batches, keys, OPTIONS, space.subarray(0, 100)).buffer).not.toBe(space.buffer);
  });
});
