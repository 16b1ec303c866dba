/** A primary that Sentinels watch: nodes find it, and follow to the next one. `FAILOVERS` sets how many coordinated ones. */
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HistoryPolicy } from '../../src/backplane/history-policy.ts';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { Link } from '../../src/backplane/redis/link/link.ts';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { inspectRedis, isAnswered } from '../../src/backplane/redis/start/inspect.ts';
import { addressOfPrimary, inspectSentinels } from '../../src/backplane/redis/start/inspect-sentinels.ts';
import { examineRedis } from '../../src/cli/doctor/examine-redis.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/util/clock.ts';
import { silentLog } from '../../src/util/log.ts';
import { bySentinels, redisAddress } from '../../src/util/redis-url.ts';
import { type Running, redisOptions, startRedis } from '../support/backplanes.ts';
import { framesOf, publishTiny } from '../support/frames.ts';
import { REDIS_SERVER, RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const SECRET = 'of the servers';
const SENTINEL_SECRET = 'of the sentinels';
const SETTINGS = { requirepass: SECRET, masterauth: SECRET, 'repl-diskless-sync-delay': '0' };

const HISTORY: HistoryPolicy = { messages: 1_000_000, ageMs: 600_000 };
const PUBLISHERS = 8;
/** Of each: as fast as it can it would publish more than a room keeps. */
const PACE_MS = 5;
const FAILOVERS = Number(process.env.FAILOVERS ?? 1);
/** Only Valkey, from version 9, can do it. */
const COORDINATED = /^Valkey.* v=(9|\d\d)/.test(
  execFileSync(REDIS_SERVER, ['--version'], { encoding: 'utf8' }),
);

interface Taken {
  readonly text: string;
  readonly epoch: string;
  readonly offset: number;
}

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

/** What each Sentinel says of the group: `port` of the primary, `flags`, and how many others it knows. */
async function views(): Promise<Readonly<Record<string, string>>[]> {
  const asked = sentinels.map(({ client }) => client.call('SENTINEL', 'MASTER', 'chat'));
  return ((await Promise.all(asked)) as string[][]).map((fields) =>
    Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1]!] as const] : []))),
  );
}

/** All Sentinels know each other, and that many replicas. */
async function watched(replicas: number): Promise<void> {
  await waitFor(
    async () =>
      (await views()).every(
        (view) => Number(view['num-other-sentinels']) === 2 && Number(view['num-slaves']) >= replicas,
      ),
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

/**
 * No failover is under way, for any Sentinel. The one that carries it out names the new primary by GET-MASTER-ADDR-BY-NAME at once,
 * and goes on to list the replicas of the former one until all of them follow.
 */
async function untilSettled(): Promise<void> {
  await waitFor(
    async () => {
      const all = await views();
      return all.every(({ flags, port }) => flags === 'master' && port === all[0]!.port);
    },
    { for: 'Sentinels to be done with the failover', timeoutMs: 30_000 },
  );
}

async function untilTaken(text: string, room = 'room') {
  let settled = await publishTiny(node.backplane, room, text);
  await waitFor(
    async () => {
      if (settled.error !== null) settled = await publishTiny(node.backplane, room, text);
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

/** Has a Sentinel hand over; resolves when all know the new primary, which the others follow. */
async function handOver(...how: readonly string[]): Promise<void> {
  const former = await primary();
  const asked = () => sentinels[0]!.client.call('SENTINEL', 'FAILOVER', 'chat', ...how).then(() => true);
  await waitFor(asked, { for: 'the failover before it to be over', timeoutMs: 30_000 });
  await waitFor(async () => (await primary()) !== former, { for: 'the failover', timeoutMs: 30_000 });
  const follows = async (server: RedisServer) =>
    (await server.info('replication', 'master_link_status')) === 'up';
  await waitFor(
    async () => {
      const next = await primary();
      const others = servers.filter((server) => server !== next);
      return (await Promise.all(others.map(follows))).every(Boolean);
    },
    { for: 'the others to follow', timeoutMs: 30_000 },
  );
  await watched(2);
}

/** What Redis took of all that was published in a room, in order, from before `act` until some time after it. */
async function takenDuring(
  room: string,
  act: () => Promise<void>,
): Promise<{ taken: Taken[]; refused: number }> {
  const taken: Taken[] = [];
  let [refused, isOver] = [0, false];
  const publishing = Array.from({ length: PUBLISHERS }, async (_, publisher) => {
    for (let n = 0; !isOver; n++) {
      const text = `${publisher}-${n}`;
      const { error, epoch, offset } = await publishTiny(node.backplane, room, text, { history: HISTORY });
      if (error === null) taken.push({ text, epoch, offset });
      else refused++;
      await pause(PACE_MS);
    }
  });
  const more = async () => {
    const before = taken.length;
    await waitFor(() => taken.length > before + 100, { for: 'publishes', timeoutMs: 30_000 });
  };
  await more();
  await act();
  await more();
  isOver = true;
  await Promise.all(publishing);
  return { taken, refused };
}

/** How often a room has each text, of all that it has. */
async function keptOf(room: string): Promise<Map<string, number>> {
  const kept = new Map<string, number>();
  for (let after = 0; ; ) {
    const page = await node.backplane.read(room, HISTORY, { after, limit: 1_000 });
    for (const { offset, text } of page.envelopes.flatMap(framesOf)) {
      if (offset > after) kept.set(text, (kept.get(text) ?? 0) + 1);
    }
    const last = page.envelopes.at(-1)?.last ?? page.offset;
    if (last >= page.offset) return kept;
    after = last;
  }
}

/** What was taken in the newest epoch is there, once each, and no two have one offset. */
async function judge(room: string, taken: readonly Taken[]): Promise<void> {
  const kept = await keptOf(room);
  const { epoch } = taken.at(-1)!;
  const newest = taken.filter((one) => one.epoch === epoch);
  expect(newest.filter(({ text }) => kept.get(text) !== 1)).toEqual([]);
  expect(new Set(newest.map(({ offset }) => offset)).size).toBe(newest.length);
}

function epochsOf(taken: readonly Taken[]): Set<string> {
  return new Set(taken.map(({ epoch }) => epoch));
}

test('a link comes back where the news of a failover reaches it while it asks for the primary', async () => {
  const { sentinels: urls, sentinelName } = settings();
  const common = { nodeId: 'sentinel', commandTimeoutMs: 2_000, metrics: silentMetrics };
  const address = bySentinels(redisAddress('redis://:of%20the%20servers@not.used'), urls, sentinelName);
  let ups = 0;
  const watcher = { up: () => void ups++, down: () => undefined };
  const link = new Link('command', { ...common, address, clock: systemClock, log: silentLog }, watcher);
  try {
    await link.connect(10_000);
    // What ioredis does with that news.
    const { connector } = link.redis as unknown as { connector: { disconnect(): void } };
    link.redis.once('connecting', () => connector.disconnect());
    link.reconnect('as in a failover');
    await waitFor(() => ups === 2, { for: 'the link to come back' });
  } finally {
    link.close();
  }
});

test('SENTINEL FAILOVER under load costs one epoch: the old primary takes what nobody gets', async () => {
  const { taken, refused } = await takenDuring('forced', () => handOver());
  const lost = taken.filter(({ epoch }) => epoch !== taken.at(-1)!.epoch).length;
  console.log(
    `SENTINEL FAILOVER: ${taken.length} taken, ${lost} of them in the old epoch, ${refused} refused`,
  );
  expect(epochsOf(taken).size).toBe(2);
  await judge('forced', taken);
}, 90_000);

if (COORDINATED) {
  test(
    `${FAILOVERS} coordinated failovers under load cost no epoch, and nobody goes deaf`,
    async () => {
      for (let i = 0; i < FAILOVERS; i++) {
        const room = `coordinated ${i}`;
        const subscribed = () => node.backplane.subscribe(room).then(() => true);
        await waitFor(subscribed, { for: 'the links to be up again', timeoutMs: 30_000 });
        const { taken, refused } = await takenDuring(room, () => handOver('COORDINATED'));
        console.log(`SENTINEL FAILOVER COORDINATED: ${taken.length} taken, ${refused} refused`);
        expect(epochsOf(taken).size).toBe(1);
        await judge(room, taken);
        const last = await untilTaken('heard', room);
        await waitFor(() => node.heard.of(room).some((envelope) => envelope.last === last.offset), {
          for: 'the last message',
        });
      }
    },
    60_000 + FAILOVERS * 60_000,
  );
} else console.warn('without SENTINEL FAILOVER … COORDINATED: REDIS_SERVER names no Valkey 9');

test('a check of the deployment reaches the primary by the Sentinels', async () => {
  await untilSettled();
  const { sentinels: urls, sentinelName } = settings();
  const facts = await inspectRedis({
    ...{ url: 'redis://:of%20the%20servers@not.used', sentinels: urls, sentinelName },
    ...{ keyPrefix: 'sentinel', timeoutMs: 2_000 },
  });
  expect(facts.role).toBe('master');
  const group = bySentinels(redisAddress('redis://not.used'), urls, sentinelName).sentinels!;
  const watched = await inspectSentinels({ group, timeoutMs: 2_000 });
  const { port } = await primary();
  expect(watched.map(addressOfPrimary)).toEqual(Array(3).fill(`127.0.0.1:${port}`));
  for (const { found } of watched) {
    if (found instanceof Error) throw found;
    expect(found.primary).toMatchObject({ quorum: 2, knownSentinels: 3, quorumProblem: null });
    const others = servers.map((server) => server.port).filter((one) => one !== port);
    expect(found.primary!.replicas!.map((one) => one.port).sort()).toEqual(others.sort());
  }
});

test('doctor looks at the Sentinels, at the primary and at each replica', async () => {
  const { sentinels: urls, sentinelName, keyPrefix } = settings();
  const loaded = loadConfig({
    file: undefined,
    env: { ROOMCAST_REDIS_SENTINEL_NAME: sentinelName, ROOMCAST_REDIS_KEY_PREFIX: keyPrefix },
    flags: { redis: 'redis://:of%20the%20servers@not.used', redisSentinels: urls },
  });
  if ('problems' in loaded) throw new Error(loaded.problems.join('; '));
  const { port } = await primary();
  const { findings, clocks } = await examineRedis(loaded.config, 2_000);
  const about = (what: string) => findings.filter((one) => one.about === what).map(({ says }) => says);
  expect(about('redis sentinels')).toContain(`3 of 3 Sentinels watch chat at 127.0.0.1:${port}, quorum 2`);
  const answers = servers.map((one) => expect.stringContaining(`127.0.0.1:${one.port} answers within`));
  expect(about('redis link')).toEqual(expect.arrayContaining(answers));
  expect(about('redis rights')).toEqual([
    `127.0.0.1:${port}: every command that a node needs was tried, and is allowed`,
  ]);
  expect(clocks).toHaveLength(3);
});

test('a primary that refuses the login has answered, and one that is not there has not', async () => {
  const { sentinels: urls, sentinelName } = settings();
  const asked = { sentinels: urls, sentinelName, keyPrefix: 'sentinel', timeoutMs: 2_000 };
  const refused = inspectRedis({ ...asked, url: 'redis://:wrong@not.used' });
  await expect(refused).rejects.toSatisfy(isAnswered);
  const nobody = inspectRedis({ url: 'redis://127.0.0.1:1', keyPrefix: 'sentinel', timeoutMs: 2_000 });
  await expect(nobody).rejects.not.toSatisfy(isAnswered);
});

test('a node says which name the Sentinels do not know, and that none answers', async () => {
  const wrong = { ...settings(), sentinelName: 'other', startupTimeoutMs: 300 };
  const url = 'redis://:of%20the%20servers@not.used';
  await expect(startRedis(url, wrong)).rejects.toThrow(
    'redis.sentinelName is "other", and the Sentinels know no primary by this name: they know chat',
  );
  const nobody = redisOptions(url, {
    ...settings(),
    sentinels: 'redis://127.0.0.1:1',
    startupTimeoutMs: 300,
  });
  await expect(startRedis(url, nobody)).rejects.toThrow(
    'no Sentinel answers (127.0.0.1:1: ECONNREFUSED): check that they run, and redis.sentinels',
  );
  const denied = {
    ...settings(),
    sentinels: settings().sentinels.replaceAll('of%20the', 'from'),
    startupTimeoutMs: 300,
  };
  await expect(startRedis(url, denied)).rejects.toThrow(
    /^cannot log in to the Sentinel at 127\.0\.0\.1:\d+: .*: check the user and password in redis\.sentinels$/,
  );
});
