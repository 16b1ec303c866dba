/** A primary that Sentinels watch: nodes find it, and follow to the next one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { inspectRedis } from '../../src/backplane/redis/start/inspect.ts';
import { type Running, redisOptions, startRedis } from '../support/backplanes.ts';
import { publishTiny } from '../support/frames.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const SECRET = 'of the servers';
const SENTINEL_SECRET = 'of the sentinels';
const SETTINGS = { requirepass: SECRET, masterauth: SECRET, 'repl-diskless-sync-delay': '0' };

let servers: RedisServer[];
let sentinels: RedisServer[];
let node: Running<RedisBackplane>;

beforeAll(async () => {
  const primary = await RedisServer.start(SETTINGS);
  const replicaof = `127.0.0.1 ${primary.port}`;
  const following = [0, 1].map(() => RedisServer.start({ ...SETTINGS, replicaof }));
  servers = [primary, ...(await Promise.all(following))];
  const starting = [0, 1, 2].map(() =>
    RedisServer.start({ requirepass: SENTINEL_SECRET }, { sentinel: true }),
  );
  sentinels = await Promise.all(starting);
  for (const { client } of sentinels) {
    await client.call('SENTINEL', 'MONITOR', 'chat', '127.0.0.1', primary.port, 2);
    for (const [name, value] of [
      ['auth-pass', SECRET],
      ['down-after-milliseconds', '1000'],
      ['failover-timeout', '4000'],
    ])
      await client.call('SENTINEL', 'SET', 'chat', name!, value!);
    await client.call('SENTINEL', 'CONFIG', 'SET', 'sentinel-pass', SENTINEL_SECRET);
  }
  await watched(2);
  node = await startRedis('redis://:of%20the%20servers@not.used', settings());
}, 60_000);

afterAll(async () => {
  await node?.backplane.close();
  await Promise.all([...(servers ?? []), ...(sentinels ?? [])].map((server) => server.dispose()));
});

function settings() {
  const urls = sentinels.map(({ port }) => `redis://:of%20the%20sentinels@127.0.0.1:${port}`).join(',');
  return { sentinels: urls, sentinelName: 'chat', keyPrefix: 'sentinel' };
}

/** All Sentinels know each other, and that many replicas. */
async function watched(replicas: number): Promise<void> {
  await waitFor(
    async () => {
      const states = await Promise.all(
        sentinels.map(({ client }) => client.call('SENTINEL', 'MASTER', 'chat')),
      );
      return (states as string[][]).every((fields) => {
        const field = (name: string) => Number(fields[fields.indexOf(name) + 1]);
        return field('num-other-sentinels') === 2 && field('num-slaves') >= replicas;
      });
    },
    { for: 'Sentinels to know each other', timeoutMs: 30_000 },
  );
}

async function primary(): Promise<RedisServer> {
  const [, port] = (await sentinels[0]!.client.call(
    'SENTINEL',
    'GET-MASTER-ADDR-BY-NAME',
    'chat',
  )) as string[];
  return servers.find((server) => server.port === Number(port))!;
}

async function untilTaken(text: string) {
  let settled = await publishTiny(node.backplane, 'room', text);
  await waitFor(
    async () => {
      if (settled.error !== null) settled = await publishTiny(node.backplane, 'room', text);
      return settled.error === null;
    },
    { for: 'a publish', timeoutMs: 30_000 },
  );
  return settled;
}

test('nodes find the primary, follow when it dies or freezes, and never write to one that wakes', async () => {
  const first = await untilTaken('first');
  expect(first.offset).toBe(1);
  const dead = await primary();
  await dead.kill();
  const second = await untilTaken('second');
  expect(second.epoch).not.toBe(first.epoch);
  await dead.restart();
  await watched(2);

  const frozen = await primary();
  frozen.freeze();
  await waitFor(async () => (await primary()).port !== frozen.port, {
    for: 'the failover',
    timeoutMs: 30_000,
  });
  const third = await untilTaken('third');
  expect(third.epoch).not.toBe(second.epoch);
  frozen.thaw();
  const more = await Promise.all(Array.from({ length: 20 }, (_, i) => untilTaken(`after ${i}`)));
  expect(new Set(more.map(({ epoch }) => epoch))).toEqual(new Set([third.epoch]));
  const offsets = more.map(({ offset }) => offset).sort((a, b) => a - b);
  expect(offsets).toEqual(Array.from({ length: 20 }, (_, i) => third.offset + 1 + i));
}, 90_000);

test('a check of the deployment reaches the primary by the Sentinels', async () => {
  const { sentinels: urls, sentinelName } = settings();
  const facts = await inspectRedis({
    ...{ url: 'redis://:of%20the%20servers@not.used', sentinels: urls, sentinelName },
    ...{ keyPrefix: 'sentinel', timeoutMs: 2_000 },
  });
  expect(facts.role).toBe('master');
});

test('a node says which name the Sentinels do not know, and that none answers', async () => {
  const wrong = { ...settings(), sentinelName: 'other', startupTimeoutMs: 300 };
  const url = 'redis://:of%20the%20servers@not.used';
  await expect(startRedis(url, wrong)).rejects.toThrow(/other \(by 3 Sentinels\)/);
  const nobody = redisOptions(url, {
    ...settings(),
    sentinels: 'redis://127.0.0.1:1',
    startupTimeoutMs: 300,
  });
  await expect(startRedis(url, nobody)).rejects.toThrow(/Sentinels/);
});
