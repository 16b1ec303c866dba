/** Asks the servers that nodes would use, and those that may take their place, and judges what they say. */
import type { ConnectionOptions } from 'node:tls';
import { readRedisTls } from '../../app/redis-tls.ts';
import { inspectCluster } from '../../backplane/redis/cluster/inspect-cluster.ts';
import { inspectRedis, isAnswered, type RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { inspectSentinels } from '../../backplane/redis/start/inspect-sentinels.ts';
import type { Config } from '../../config/config.ts';
import { bySentinels, redisAddress, shownAddress, splitRedisUrls } from '../../util/redis-url.ts';
import type { ClockReading } from './clocks.ts';
import type { Finding } from './finding.ts';
import { checkRedisCluster, together } from './redis-cluster.ts';
import { checkRedisLink, redisUnreachable } from './redis-link.ts';
import { checkRedisMemory } from './redis-memory.ts';
import { checkRedisOutputBuffer } from './redis-output-buffer.ts';
import { checkRedisPersistence } from './redis-persistence.ts';
import { checkRedisRights } from './redis-rights.ts';
import { checkRedisSentinels, primaryOf, replicasOf } from './redis-sentinels.ts';
import { checkRedisServer } from './redis-server.ts';

export interface Examined {
  readonly findings: Finding[];
  readonly clocks: ClockReading[];
}

/** `timeoutMs`: for connecting, and for each answer. */
export async function examineRedis(config: Config, timeoutMs: number): Promise<Examined> {
  const { url, cluster, sentinels } = config.redis;
  if (url === null) return { findings: [], clocks: [] };
  if (cluster) return examineCluster(config, url, timeoutMs);
  if (sentinels !== null) return examineSentinels(config, url, timeoutMs);
  const found = await inspect(config, url, timeoutMs);
  const findings = found instanceof Error ? [redisUnreachable(url, found)] : checkRedis(config, found);
  return { findings, clocks: found instanceof Error ? [] : [clockOf(found)] };
}

/** The Sentinels, the primary that most of them name, and its replicas. */
async function examineSentinels(config: Config, url: string, timeoutMs: number): Promise<Examined> {
  const { sentinels, sentinelName } = config.redis;
  const group = bySentinels(redisAddress(url), sentinels, sentinelName).sentinels!;
  const facts = await inspectSentinels({ group, ...secured(config), timeoutMs });
  const primary = primaryOf(facts);
  const replicas = primary === null ? [] : replicasOf(facts).filter((address) => address !== primary);
  const servers = new Map<string, Examination>();
  await Promise.all(
    [primary, ...replicas].map(async (address) => {
      if (address === null) return;
      const found = await inspect(config, urlAt(url, address), timeoutMs);
      servers.set(address, { found, isTried: address === primary });
    }),
  );
  const examined = judge(config, url, servers);
  const asked = primary === null ? undefined : servers.get(primary)?.found;
  const primaryAnswers = !(asked instanceof Error) || isAnswered(asked);
  const agreed = checkRedisSentinels(facts, sentinelName, primaryAnswers);
  return { ...examined, findings: [...agreed, ...examined.findings] };
}

/** Each server that `redis.url` names, and each master and replica that these know of. */
async function examineCluster(config: Config, url: string, timeoutMs: number): Promise<Examined> {
  const { keyPrefix, partitions } = config.redis;
  const named = splitRedisUrls(url);
  const [seeds, cluster] = await Promise.all([
    Promise.all(named.map((one) => inspect(config, one, timeoutMs))),
    inspectCluster({ url, partitions, keyPrefix, timeoutMs, ...secured(config) }),
  ]);
  const servers = new Map<string, Examination>();
  named.forEach((one, i) => {
    servers.set(shownAddress(redisAddress(one)), { found: seeds[i]!, isTried: cluster === null });
  });
  for (const { address, found } of cluster?.replicas ?? []) {
    // Why one did not answer is said of the cluster.
    if (!(found instanceof Error)) servers.set(address, { found, isTried: false });
  }
  // What a master was tried for counts more than what it says as one that was named.
  for (const { address, found } of cluster?.masters ?? []) servers.set(address, { found, isTried: true });
  const { findings, clocks } = judge(config, named[0]!, servers);
  return { findings: [...findings, ...(cluster === null ? [] : checkRedisCluster(cluster))], clocks };
}

interface Examination {
  readonly found: RedisFacts | Error;
  /** Whether it was tried for all that a node does. */
  readonly isTried: boolean;
}

/** What is true of all servers is said once. `url`: with the login that they share. */
function judge(config: Config, url: string, servers: ReadonlyMap<string, Examination>): Examined {
  const each = new Map<string, readonly Finding[]>();
  const clocks: ClockReading[] = [];
  const named = splitRedisUrls(config.redis.url!).map((one) => shownAddress(redisAddress(one)));
  for (const [address, { found, isTried }] of servers) {
    if (found instanceof Error) {
      each.set(address, [redisUnreachable(urlAt(url, address), found, named.includes(address))]);
    } else {
      const own = { ...config, redis: { ...config.redis, url: urlAt(url, address) } };
      // A replica here is no mistake: it may take over, or tell who the masters are.
      each.set(address, checkRedis(own, { ...found, role: 'master' }, isTried));
      clocks.push(clockOf(found, `redis ${address}`));
    }
  }
  return { findings: together(each), clocks };
}

function inspect(config: Config, url: string, timeoutMs: number): Promise<RedisFacts | Error> {
  const { keyPrefix, cluster } = config.redis;
  return inspectRedis({ url, cluster, keyPrefix, timeoutMs, ...secured(config) }).catch(
    (error: Error) => error,
  );
}

function checkRedis(config: Config, facts: RedisFacts, isTried = true): Finding[] {
  return [
    ...checkRedisLink(config, facts),
    ...checkRedisServer(facts),
    ...(isTried ? checkRedisRights(config, facts) : []),
    ...checkRedisMemory(facts),
    ...checkRedisOutputBuffer(facts),
    ...checkRedisPersistence(facts),
  ];
}

function clockOf({ clockAheadMs, roundTripMs }: RedisFacts, whose = 'redis'): ClockReading {
  return { whose, aheadMs: clockAheadMs, doubtMs: roundTripMs / 2 };
}

function secured({ redis: { url, sentinels, tls } }: Config): { tls?: ConnectionOptions } {
  const isSecure = [url, sentinels].some((urls) => urls?.startsWith('rediss:'));
  return isSecure ? { tls: readRedisTls(tls) } : {};
}

/** The same login at another server. */
function urlAt(url: string, address: string): string {
  const at = new URL(url);
  at.host = address;
  return at.href;
}
