/** What it costs to subscribe to every room of a node again, after its subscribe links were lost: of one Redis, and of a cluster. */
import { pathToFileURL } from 'node:url';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { systemClock } from '../../src/util/clock.ts';
import { randomId } from '../../src/util/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { RedisServer } from '../../test/support/redis.ts';
import { RedisCluster } from '../../test/support/redis-cluster.ts';
import { waitFor } from '../../test/support/wait.ts';
import { processCpuUs } from '../system/cpu.ts';

type Say = (text: string) => void;

interface Row {
  readonly name: string;
  readonly isCluster: boolean;
  start(): Promise<Servers>;
}

interface Servers {
  readonly servers: readonly RedisServer[];
  readonly url: string;
  stop(): Promise<void>;
}

const ROWS: readonly Row[] = [
  { name: 'one Redis', isCluster: false, start: oneRedis },
  { name: 'cluster of 3 masters', isCluster: true, start: cluster },
];
/** Of Redis's time, in all. */
const LIMIT_MS = 1_000;
/** Rooms asked for at once: as many joins as a node takes from its sockets in a turn. */
const AT_ONCE = 5_000;
const TIMEOUT_MS = 60_000;

export interface ResubscribeOptions {
  readonly rooms: number;
  /** Of the build that is measured. */
  readonly roomcastMain: string;
}

type Build = typeof import('../../src/backplane/redis/redis-backplane.ts');

/** `print` gets results, `say` progress. Returns the exit code. */
export async function runResubscribe(options: ResubscribeOptions, print: Say, say: Say): Promise<number> {
  const { rooms, roomcastMain } = options;
  const file = new URL('backplane/redis/redis-backplane.js', pathToFileURL(roomcastMain));
  const build = (await import(file.href)) as Build;
  let failed = 0;
  for (const row of ROWS) {
    say(`${row.name}: subscribing to ${rooms} rooms`);
    const { wallMs, redisMs, nodeMs, commands } = await measure(row, rooms, build);
    const spent = redisMs.reduce((sum, one) => sum + one, 0);
    if (spent >= LIMIT_MS) failed++;
    const each = redisMs.length > 1 ? ` (${redisMs.map(Math.round).join(', ')})` : '';
    print(
      `${row.name}: ${rooms} rooms subscribed again in ${Math.round(wallMs)} ms by ${commands} commands: ` +
        `${Math.round(spent)} ms of Redis CPU${each}, ${Math.round(nodeMs)} ms of node CPU\n`,
    );
  }
  if (failed > 0) print(`FAILED ${LIMIT_MS} ms of Redis CPU or more\n`);
  return failed > 0 ? 1 : 0;
}

async function measure(row: Row, rooms: number, build: Build) {
  const { servers, url, stop } = await row.start();
  const backplane = backplaneOn(build, url, row.isCluster);
  try {
    let resumes = 0;
    const ignore = () => undefined;
    await backplane.start({ envelope: ignore, signal: ignore, resumed: () => resumes++ });
    for (let at = 0; at < rooms; at += AT_ONCE) {
      const names = Array.from({ length: Math.min(AT_ONCE, rooms - at) }, (_, i) => `room:${at + i}`);
      await Promise.all(names.map((name) => backplane.subscribe(name)));
    }
    const command = row.isCluster ? 'ssubscribe' : 'subscribe';
    const before = await Promise.all(servers.map((server) => server.calls(command)));
    const redisBefore = servers.map(({ pid }) => processCpuUs(pid));
    const nodeBefore = process.cpuUsage();
    const startedAtMs = performance.now();
    resumes = 0;
    await Promise.all(servers.map(({ client }) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')));
    await waitFor(() => resumes >= servers.length, { timeoutMs: TIMEOUT_MS, intervalMs: 5 });
    const wallMs = performance.now() - startedAtMs;
    const node = process.cpuUsage(nodeBefore);
    const redisMs = servers.map(({ pid }, i) => (processCpuUs(pid) - redisBefore[i]!) / 1000);
    const after = await Promise.all(servers.map((server) => server.calls(command)));
    await verify(servers, row.isCluster, rooms);
    const commands = after.reduce((sum, calls, i) => sum + calls - before[i]!, 0);
    return { wallMs, redisMs, nodeMs: (node.user + node.system) / 1000, commands };
  } finally {
    await backplane.close();
    await stop();
  }
}

/** Throws unless Redis has as many channels of rooms. */
async function verify(servers: readonly RedisServer[], isCluster: boolean, rooms: number): Promise<void> {
  let count = 0;
  for (const { client } of servers) {
    const channels = await client.call('PUBSUB', isCluster ? 'SHARDCHANNELS' : 'CHANNELS', '*log3:*');
    count += (channels as unknown[]).length;
  }
  if (count !== rooms) throw new Error(`${count} rooms are subscribed, not ${rooms}`);
}

function backplaneOn(build: Build, url: string, isCluster: boolean): RedisBackplane {
  return new build.RedisBackplane({
    url,
    cluster: isCluster,
    keyPrefix: 'rc',
    partitions: 128,
    commandTimeoutMs: 5_000,
    startupTimeoutMs: 10_000,
    dedupWindowMs: 60_000,
    metaTtlMs: 60_000,
    acksTtlMs: 60_000,
    nodeId: randomId(8),
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
  });
}

async function oneRedis(): Promise<Servers> {
  const server = await RedisServer.start();
  return { servers: [server], url: server.url, stop: () => server.dispose() };
}

async function cluster(): Promise<Servers> {
  const redis = await RedisCluster.start({ masters: 3, replicas: 0 });
  return { servers: redis.servers, url: redis.url, stop: () => redis.dispose() };
}
