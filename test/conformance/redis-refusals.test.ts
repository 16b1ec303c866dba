/** What a publish is answered when Redis refuses a part of it: either nothing was stored, or it was and its key is kept. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { randomId } from '../../src/util/ids.ts';
import { startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny, type Settled, textsOf, UNKEPT } from '../support/frames.ts';
import { RedisServer } from '../support/redis.ts';

const PARTITIONS = 16;
let server: RedisServer;
const open: RedisBackplane[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.dispose());

afterEach(async () => {
  for (const backplane of open.splice(0)) await backplane.close();
});

interface Limited {
  readonly backplane: RedisBackplane;
  readonly keys: Keys;
  /** Takes rights away, or gives them back, while the node runs: `resetchannels`, `-xadd`. */
  allow(...rules: string[]): Promise<unknown>;
  /** What is stored under the node's prefix, and for how many milliseconds yet; -1: for ever. */
  lives(): Promise<Record<string, number>>;
}

/** A node that is logged in as a user of its own, who may do everything at first. */
async function startLimited(): Promise<Limited> {
  const user = `u${randomId(6)}`;
  const allow = (...rules: string[]) => server.client.call('ACL', 'SETUSER', user, ...rules);
  await allow('on', '>secret', '~*', '&*', '+@all');
  const keyPrefix = `t${randomId(6)}`;
  const url = `redis://${user}:secret@127.0.0.1:${server.port}`;
  const { backplane } = await startRedis(url, { keyPrefix, partitions: PARTITIONS });
  open.push(backplane);
  const lives = async () => {
    const names = await server.client.keys(`${keyPrefix}:*`);
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await server.client.pttl(name)] as const)),
    );
  };
  return { backplane, keys: new Keys(keyPrefix, PARTITIONS), allow, lives };
}

async function textsIn(backplane: RedisBackplane, room: string): Promise<string[]> {
  return textsOf((await backplane.read(room, KEPT, { limit: 100 })).envelopes);
}

function outcomes(results: readonly Settled[]): string[] {
  return results.map(({ error, duplicate }) => error?.code ?? (duplicate ? 'duplicate' : 'ok'));
}

describe('a node that may no longer publish to channels', () => {
  it('stores a keyed message once, says timeout, and calls a retry a duplicate', async () => {
    const { backplane, allow } = await startLimited();
    await publishTiny(backplane, 'room', 'before');
    await allow('resetchannels');
    const results: Settled[] = [];
    for (let i = 0; i < 3; i++) results.push(await publishTiny(backplane, 'room', 'paid', { key: 'k' }));
    expect(outcomes(results)).toEqual(['timeout', 'duplicate', 'duplicate']);
    expect(results[0]!.error!.message).toMatch(/^redis stored the message and then failed: .*channel/);
    await allow('allchannels');
    expect(await publishTiny(backplane, 'room', 'paid', { key: 'k' })).toMatchObject({
      offset: 2,
      duplicate: true,
    });
    expect(await textsIn(backplane, 'room')).toEqual(['before', 'paid']);
    expect((await publishTiny(backplane, 'room', 'after')).offset).toBe(3);
  });

  it('leaves nothing in Redis without an end of its life, in a new room either', async () => {
    const { backplane, allow, lives } = await startLimited();
    await allow('resetchannels');
    expect(outcomes([await publishTiny(backplane, 'fresh', 'paid', { key: 'k' })])).toEqual(['timeout']);
    const endless = Object.entries(await lives()).filter(([, ms]) => ms < 0);
    // The records of which promotion numbered a partition stay: one for each, whatever clients do.
    expect(endless.filter(([key]) => !key.endsWith('}:lineage'))).toEqual([]);
  });

  it('answers each of several rooms in one call so, new ones too, and goes on with the next call', async () => {
    const { backplane, allow } = await startLimited();
    await allow('resetchannels');
    const rooms = ['a', 'b', 'c'];
    const publishAll = () =>
      Promise.all(
        rooms.flatMap((room) => [
          publishTiny(backplane, room, 'keyed', { key: 'k' }),
          publishTiny(backplane, room, 'plain'),
        ]),
      );
    expect(new Set(outcomes(await publishAll()))).toEqual(new Set(['timeout']));
    // Those with a key are found again; the others are stored once more, as whoever publishes without a key accepts.
    const again = await publishAll();
    expect(outcomes(again.filter((_, i) => i % 2 === 1))).toEqual(Array(3).fill('timeout'));
    await allow('allchannels');
    for (const room of rooms) {
      expect(outcomes([await publishTiny(backplane, room, 'keyed', { key: 'k' })])).toEqual(['duplicate']);
      expect(await textsIn(backplane, room)).toEqual(['keyed', 'plain', 'plain']);
    }
  });

  it('does not take the link for late: nothing that waits is refused', async () => {
    const { backplane, allow } = await startLimited();
    await allow('resetchannels');
    const first = publishTiny(backplane, 'room', '1');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const waiting = publishTiny(backplane, 'room', '2');
    expect(outcomes(await Promise.all([first, waiting]))).toEqual(['timeout', 'timeout']);
    expect(await textsIn(backplane, 'room')).toEqual(['1', '2']);
  });

  it('says unavailable in rooms without history, where nothing is stored, and forgets the key', async () => {
    const { backplane, allow } = await startLimited();
    await allow('resetchannels');
    const publish = (key?: string) =>
      publishTiny(backplane, 'room', 'x', { history: UNKEPT, ...(key === undefined ? {} : { key }) });
    expect(outcomes([await publish(), await publish('k'), await publish('k')])).toEqual(
      Array(3).fill('unavailable'),
    );
    await allow('allchannels');
    expect(outcomes([await publish('k'), await publish('k')])).toEqual(['ok', 'duplicate']);
  });
});

describe('a command that is refused before the message is stored', () => {
  const refused = [
    ['XADD in a room that has messages', ['-xadd'], true],
    ['XADD in a new room', ['-xadd'], false],
    ['XADD, and taking back what was written by DEL', ['-xadd', '-del'], true],
    ['XADD in a new room, and taking back by DEL', ['-xadd', '-del'], false],
    ['SETRANGE', ['-setrange'], true],
    ['SET', ['-set'], false],
    ['GET', ['-get'], true],
    ['TIME', ['-time'], true],
    ['EVALSHA', ['-evalsha'], true],
    ['every key', ['resetkeys', '~elsewhere:*'], true],
  ] as const;
  it.each(refused)('leaves nothing behind and says unavailable: %s', async (_what, rules, hasMessages) => {
    const { backplane, allow } = await startLimited();
    const before = hasMessages ? [await publishTiny(backplane, 'room', 'before')] : [];
    await allow(...rules);
    const publishAll = () =>
      Promise.all([
        publishTiny(backplane, 'room', 'keyed', { key: 'k' }),
        publishTiny(backplane, 'room', 'plain'),
        ...['a', 'b'].map((room) => publishTiny(backplane, room, 'x', { key: 'k' })),
      ]);
    const results = [...(await publishAll()), ...(await publishAll())];
    const served = rules[0] === '-setrange' ? 2 : 0; // New rooms need none.
    expect(outcomes(results).filter((outcome) => outcome === 'unavailable')).toHaveLength(8 - 2 * served);
    expect(results[0]!.error!.message).toMatch(/^redis: /);
    await allow('~*', '+@all');
    expect(outcomes([await publishTiny(backplane, 'room', 'keyed', { key: 'k' })])).toEqual(['ok']);
    expect(await textsIn(backplane, 'room')).toEqual([...before.map(() => 'before'), 'keyed']);
    const after = await publishTiny(backplane, 'room', 'after');
    expect(after.offset).toBe(before.length + 2);
    if (before.length > 0) expect(after.epoch).toBe(before[0]!.epoch);
  });

  it.each(['meta', 'log', 'dedup'] as const)('does so for a %s of another type', async (kind) => {
    const { backplane, keys } = await startLimited();
    if (kind !== 'meta') await publishTiny(backplane, 'bad', 'before');
    const key = kind === 'dedup' ? keys.dedup('bad', 'k') : keys[kind]('bad');
    await server.client.del(key);
    await server.client.hset(key, 'not', 'ours');
    const results = await Promise.all([
      publishTiny(backplane, 'good', '1'),
      publishTiny(backplane, 'bad', 'keyed', { key: 'k' }),
      publishTiny(backplane, 'good too', '1', { key: 'k' }),
    ]);
    expect(outcomes(results)).toEqual(['ok', 'unavailable', 'ok']);
    expect(results[1]!.error!.message).toContain('WRONGTYPE');
    await server.client.del(key);
    expect(outcomes([await publishTiny(backplane, 'bad', 'keyed', { key: 'k' })])).toEqual(['ok']);
  });
});

it('a command that is refused after the message was sent leaves it stored, with its key', async () => {
  const { backplane, allow } = await startLimited();
  await allow('-pexpire');
  const results = [
    await publishTiny(backplane, 'room', 'x', { key: 'k' }),
    await publishTiny(backplane, 'room', 'x', { key: 'k' }),
  ];
  expect(outcomes(results)).toEqual(['timeout', 'duplicate']);
  await allow('+@all');
  expect(await textsIn(backplane, 'room')).toEqual(['x']);
});

describe('a Redis that is full', () => {
  const LIMIT = 24 * 1024 * 1024;
  const NEW_ROOMS = 1_500;

  it('stays near its limit however many new rooms are published in, and stores nothing of what it refuses', async () => {
    const full = await RedisServer.start({ maxmemory: String(LIMIT), 'maxmemory-policy': 'noeviction' });
    const client = new Redis(full.url);
    try {
      const { backplane } = await startRedis(full.url, { commandTimeoutMs: 10_000 });
      open.push(backplane);
      const text = 'x'.repeat(60_000);
      const old = await publishTiny(backplane, 'old', 'first', { key: 'k0' });
      const stored: string[] = [];
      const refusals: Settled[] = [];
      for (let n = 0; n < NEW_ROOMS; n += 10) {
        const rooms = Array.from({ length: 10 }, (_, i) => `new:${n + i}`);
        const results = await Promise.all(
          rooms.map((room, i) => publishTiny(backplane, room, text, i % 2 ? { key: 'k' } : {})),
        );
        for (const [i, result] of results.entries()) {
          if (result.error) refusals.push(result);
          else stored.push(rooms[i]!);
        }
      }
      expect(stored.length).toBeGreaterThan(100);
      expect(refusals.length).toBeGreaterThan(500);
      expect(new Set(outcomes(refusals))).toEqual(new Set(['unavailable']));
      expect(refusals[0]!.error!.message).toMatch(/^redis: OOM /);
      // One call may carry a megabyte, and is admitted whole.
      const used = Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))![1]);
      expect(used).toBeLessThan(LIMIT + 4 * 1024 * 1024);
      const refusedRoom = `new:${NEW_ROOMS - 1}`;
      expect(await client.keys(`*${refusedRoom}*`)).toEqual([]);
      // Rooms that have messages are refused likewise, and keep what they have. (A small message may fit where large ones do not.)
      await client.config('SET', 'maxmemory', '1');
      expect(outcomes([await publishTiny(backplane, 'old', 'x')])).toEqual(['unavailable']);
      expect(await textsIn(backplane, 'old')).toEqual(['first']);
      await client.config('SET', 'maxmemory', '0');
      const after = await publishTiny(backplane, 'old', 'second');
      expect([after.epoch, after.offset]).toEqual([old.epoch, 2]);
      expect(outcomes([await publishTiny(backplane, refusedRoom, 'x', { key: 'k' })])).toEqual(['ok']);
    } finally {
      client.disconnect();
      await full.dispose();
    }
  });
});
