/** What a Redis says about itself, as plain facts, for deployment checks. Leaves nothing behind there. */

import type { ConnectionOptions } from 'node:tls';
import type { Redis } from 'ioredis';
import { systemClock } from '../../../util/clock.ts';
import { bySentinels, redisAddress } from '../../../util/redis-url.ts';
import { Keys } from '../keys/keys.ts';
import { type Login, onTrial, type TrialOptions } from '../link/server-options.ts';
import { passingProblem, serverProblem, versionProblem } from '../link/server-version.ts';
import { findObstacles, type Obstacle, type ServedPlaces } from './rights.ts';

export interface InspectOptions {
  /** As in `RedisBackplaneOptions`. */
  readonly url: string;
  /** Whether it is to be part of a Redis Cluster: then what it refuses is left to the start of a node. Default false. */
  readonly cluster?: boolean;
  readonly sentinels?: string | null;
  readonly sentinelName?: string;
  readonly tls?: ConnectionOptions;
  readonly keyPrefix: string;
  /** For connecting, and for each reply. */
  readonly timeoutMs: number;
}

/**
 * When a client that only subscribes is cut off: at `hardBytes`, or above `softBytes` for `softSeconds`. 0:
 * never.
 */
interface OutputBufferLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

export interface RedisFacts {
  readonly version: string;
  /** Why a node would refuse this version, or null. */
  readonly versionProblem: string | null;
  readonly role: string;
  /** A password is given, and it requires none. */
  readonly ignoresPassword: boolean;
  /** 0: no limit. */
  readonly maxMemoryBytes: number;
  readonly usedMemoryBytes: number;
  readonly maxMemoryPolicy: string;
  readonly evictedKeys: number;
  readonly appendOnly: boolean;
  /** Null if the server does not tell (CONFIG is off). */
  readonly appendFsync: string | null;
  /** When snapshots are made, such as `3600 1 300 100`; empty: never. Null as above. */
  readonly snapshots: string | null;
  /** Whether the last write to disk, of either kind, failed. */
  readonly diskFailed: boolean;
  /** Null as above. */
  readonly pubsubBuffer: OutputBufferLimit | null;
  readonly maxClients: number | null;
  readonly connectedClients: number;
  /** Replicas that follow it. */
  readonly connectedReplicas: number;
  /** Of a server of a cluster: whether it refuses everything while any slot has no master. Null as above. */
  readonly needsFullCoverage: boolean | null;
  /** Its clock minus ours, milliseconds. Off by half of `roundTripMs` at most. */
  readonly clockAheadMs: number;
  readonly roundTripMs: number;
  /**
   * What it refuses a node. Not checked on a server that accepts no writes yet: a replica, or one that is
   * loading.
   */
  readonly obstacles: readonly Obstacle[];
}

/** A server that nodes cannot use, whatever else is true of it. */
export class WrongServer extends Error {}

/** Of an error of `inspectRedis`: whether a server answered, if only to refuse a login or a command. */
export function isAnswered(error: Error): boolean {
  return error instanceof WrongServer || error.name === 'ReplyError';
}

/**
 * Rejects if the server cannot be reached, refuses the login, or refuses INFO and TIME, and with a
 * `WrongServer`. The message contains no secrets.
 */
export function inspectRedis(options: InspectOptions): Promise<RedisFacts> {
  const { url, cluster = false, sentinels, sentinelName = 'mymaster', tls, keyPrefix, timeoutMs } = options;
  const address = bySentinels(redisAddress(url), sentinels, sentinelName);
  // Partitions make no difference to rights.
  const keys = new Keys(keyPrefix, 1, address.database);
  return inspectServer({ address, tls, timeoutMs, keys, isCluster: cluster, served: null });
}

export interface InspectServerOptions extends TrialOptions {
  readonly keys: Keys;
  readonly isCluster: boolean;
  /** Of a master of a cluster: what it can be tried on. Null: it is not tried. */
  readonly served: ServedPlaces | null;
}

/** As `inspectRedis`. */
export function inspectServer(options: InspectServerOptions): Promise<RedisFacts> {
  return onTrial(options, (redis, login) => factsOf(redis, login, options));
}

async function factsOf(
  redis: Redis,
  { isNeedless }: Login,
  { address, keys, isCluster, served }: InspectServerOptions,
): Promise<RedisFacts> {
  const info = await redis.info();
  const problem = serverProblem(info, isCluster);
  const isOfOurKind = problem === null || problem === versionProblem(info);
  if (!isOfOurKind) throw new WrongServer(problem);
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const [settings, clock] = [await settingsOf(redis), await clockOf(redis)];
  const canWrite = passingProblem(info) === null && problem === null;
  const isTried = canWrite && isCluster === (served !== null);
  const coverage = settings.get('cluster-require-full-coverage');
  return {
    version: field('redis_version'),
    versionProblem: versionProblem(info),
    role: field('role'),
    ignoresPassword: isNeedless,
    maxMemoryBytes: Number(field('maxmemory')),
    usedMemoryBytes: Number(field('used_memory')),
    maxMemoryPolicy: field('maxmemory_policy'),
    evictedKeys: Number(field('evicted_keys')),
    appendOnly: field('aof_enabled') === '1',
    appendFsync: settings.get('appendfsync') ?? null,
    snapshots: settings.get('save') ?? null,
    diskFailed: [field('rdb_last_bgsave_status'), field('aof_last_write_status')].includes('err'),
    pubsubBuffer: bufferLimit(settings.get('client-output-buffer-limit')),
    maxClients: settings.has('maxclients') ? Number(settings.get('maxclients')) : null,
    connectedClients: Number(field('connected_clients')),
    connectedReplicas: Number(field('connected_slaves')),
    needsFullCoverage: coverage === undefined ? null : coverage === 'yes',
    ...clock,
    obstacles: isTried ? await findObstacles(redis, keys, address.database, served) : [],
  };
}

const SETTINGS = [
  ...['appendfsync', 'save', 'client-output-buffer-limit', 'maxclients'],
  'cluster-require-full-coverage',
];

/** Empty if CONFIG is renamed or forbidden, as with most Redis services. */
async function settingsOf(redis: Redis): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>();
  for (const name of SETTINGS) {
    const answer = await redis.call('CONFIG', 'GET', name).catch(refused);
    if (!Array.isArray(answer)) return settings;
    if (answer.length === 2) settings.set(String(answer[0]), String(answer[1]));
  }
  return settings;
}

/** A reply that starts with a code in capitals is a refusal; anything else is a lost connection. */
function refused(error: Error): null {
  if (/^[A-Z]+ /.test(error.message)) return null;
  throw error;
}

/** The clock is assumed to be read half-way between request and reply. The shortest of three is the best. */
async function clockOf(redis: Redis): Promise<Pick<RedisFacts, 'clockAheadMs' | 'roundTripMs'>> {
  let best = { clockAheadMs: 0, roundTripMs: Number.POSITIVE_INFINITY };
  for (let i = 0; i < 3; i++) {
    const sentMs = systemClock.wallMs();
    const sent = systemClock.nowMs();
    const [seconds, microseconds] = await redis.time();
    const roundTripMs = systemClock.nowMs() - sent;
    const clockAheadMs = Number(seconds) * 1000 + Number(microseconds) / 1000 - (sentMs + roundTripMs / 2);
    if (roundTripMs < best.roundTripMs) best = { clockAheadMs, roundTripMs };
  }
  return best;
}

/** From `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`. */
function bufferLimit(setting: string | undefined): OutputBufferLimit | null {
  const match = /\bpubsub (\d+) (\d+) (\d+)/.exec(setting ?? '');
  if (match === null) return null;
  const [hardBytes, softBytes, softSeconds] = match.slice(1).map(Number) as [number, number, number];
  return { hardBytes, softBytes, softSeconds };
}
