/** `roomcast doctor`: checks a deployment before its users do, and says what is wrong and how to fix it. */

import type { ConnectionOptions } from 'node:tls';
import { openFilesLimit } from '../app/open-files-limit.ts';
import { readRedisTls } from '../app/redis-tls.ts';
import { startProblems } from '../app/start-problems.ts';
import { inspectCluster } from '../backplane/redis/cluster/inspect-cluster.ts';
import { inspectRedis, type RedisFacts } from '../backplane/redis/start/inspect.ts';
import type { Config } from '../config/config.ts';
import type { Flags } from '../config/flags.ts';
import { loadConfig } from '../config/load.ts';
import { capacity } from '../transport/capacity.ts';
import { redisAddress, shownAddress, splitRedisUrls } from '../util/redis-url.ts';
import { checkAccess } from './doctor/access.ts';
import { type ClockReading, checkClocks } from './doctor/clocks.ts';
import { checkCluster } from './doctor/cluster.ts';
import { type Finding, ok, problem } from './doctor/finding.ts';
import { checkKernel, kernelFacts } from './doctor/kernel.ts';
import { checkKeySet } from './doctor/key-set.ts';
import { checkNode } from './doctor/node.ts';
import { checkOpenFiles } from './doctor/open-files.ts';
import { type NodeFacts, probeNode } from './doctor/probe-node.ts';
import { checkReceiveMemory, memoryBytes } from './doctor/receive-memory.ts';
import { checkRedisCluster, together } from './doctor/redis-cluster.ts';
import { checkRedisLink, redisUnreachable } from './doctor/redis-link.ts';
import { checkRedisMemory } from './doctor/redis-memory.ts';
import { checkRedisOutputBuffer } from './doctor/redis-output-buffer.ts';
import { checkRedisPersistence } from './doctor/redis-persistence.ts';
import { checkRedisRights } from './doctor/redis-rights.ts';
import { checkRedisServer } from './doctor/redis-server.ts';
import { exitCodeFor, jsonReport, textReport } from './doctor/report.ts';
import { checkTls } from './doctor/tls.ts';
import type { Io } from './io.ts';
import { withoutSecrets } from './logger.ts';

export interface DoctorOptions {
  readonly config?: string;
  /** Base URLs of the nodes, `http:` or `https:`. */
  readonly node?: readonly URL[];
  /** Connections that one node should hold. Default: `websocket.maxConnections`. */
  readonly connections?: number;
  readonly token?: string;
  readonly json?: boolean;
  readonly strict?: boolean;
}

/** As long as a person waits without suspecting a hang; more than any healthy answer takes. */
const TIMEOUT_MS = 5000;
/**
 * Without a token, a node that requires one says nothing: this is enough to see that upgrades get through.
 */
const NO_HELLO_MS = 1000;

/** Prints its findings. Returns the exit code: 1 for problems, with `strict` for warnings too, else 0. */
export async function doctorCommand(io: Io, options: DoctorOptions & Flags): Promise<number> {
  const { config: file, node, connections, token, json, strict, ...flags } = options;
  const loaded = loadConfig({ file, env: io.env, flags });
  const findings =
    'problems' in loaded ? loaded.problems.map(configurationProblem) : await examine(loaded.config, options);
  const report = json === true ? jsonReport(findings) : textReport(findings);
  io.stdout(withoutSecrets(report));
  return exitCodeFor(findings, strict === true);
}

async function examine(config: Config, options: DoctorOptions): Promise<Finding[]> {
  const { node: urls = [], connections = config.websocket.maxConnections, token = null } = options;
  const needsToken = token === null && asksForTokens(config);
  const probing = {
    wsPath: config.websocket.path,
    token,
    timeoutMs: TIMEOUT_MS,
    socketTimeoutMs: needsToken ? NO_HELLO_MS : TIMEOUT_MS,
  };
  const [redis, keySet, nodes] = await Promise.all([
    examineRedis(config),
    checkKeySet(config),
    Promise.all(urls.map((url) => probeNode(url, probing))),
  ]);
  const clocks = [...redis.clocks, ...nodes.flatMap(({ clock }) => (clock === null ? [] : [clock]))];
  return [
    ...examineConfiguration(config),
    ...checkAccess(config),
    ...keySet,
    ...checkTls(config, Date.now()),
    ...checkOpenFiles(openFilesLimit(), connections),
    ...checkReceiveMemory(
      capacity({ ...config.websocket, maxConnections: connections }, openFilesLimit()),
      config.websocket.maxPayloadBytes,
      memoryBytes(),
    ),
    ...checkKernel(kernelFacts()),
    ...redis.findings,
    ...examineNodes(nodes, needsToken),
    ...checkCluster(config, nodes),
    ...checkClocks(clocks),
  ];
}

function examineConfiguration(config: Config): Finding[] {
  const problems = startProblems(config);
  return problems.length === 0
    ? [ok('configuration', 'the configuration is valid')]
    : problems.map(configurationProblem);
}

function configurationProblem(says: string): Finding {
  return problem('configuration', says, 'see roomcast config check');
}

function examineNodes(nodes: readonly NodeFacts[], needsToken: boolean): Finding[] {
  if (nodes.length === 0) {
    return [ok('nodes', 'no node was checked', 'name each with --node <url>')];
  }
  return nodes.flatMap((facts) => checkNode(facts, { needsToken }));
}

function asksForTokens({ auth: { secret, publicKeyFile, jwksUrl } }: Config): boolean {
  return (secret ?? publicKeyFile ?? jwksUrl) !== null;
}

interface Examined {
  readonly findings: Finding[];
  readonly clocks: ClockReading[];
}

async function examineRedis(config: Config): Promise<Examined> {
  const { redis } = config;
  if (redis.url === null) return { findings: [], clocks: [] };
  return redis.cluster ? examineCluster(config) : examineServer(config, redis.url);
}

async function examineServer(config: Config, url: string): Promise<Examined> {
  const { sentinels, sentinelName, keyPrefix } = config.redis;
  try {
    const asked = { url, sentinels, sentinelName, keyPrefix, timeoutMs: TIMEOUT_MS };
    const facts = await inspectRedis({ ...asked, ...secured(config) });
    return { findings: checkRedis(config, facts), clocks: [clockOf(facts)] };
  } catch (error) {
    return { findings: [redisUnreachable(new URL(url).host, error)], clocks: [] };
  }
}

/** Each server that `redis.url` names, and each master that these know of. */
async function examineCluster(config: Config): Promise<Examined> {
  const { keyPrefix, partitions } = config.redis;
  const url = config.redis.url!;
  const asked = { keyPrefix, timeoutMs: TIMEOUT_MS, ...secured(config) };
  const named = splitRedisUrls(url);
  const [seeds, cluster] = await Promise.all([
    Promise.all(
      named.map((one) => inspectRedis({ url: one, cluster: true, ...asked }).catch((error: Error) => error)),
    ),
    inspectCluster({ url, partitions, ...asked }),
  ]);
  const servers = new Map(named.map((one, i) => [shownAddress(redisAddress(one)), seeds[i]!] as const));
  // What a master was tried for counts more than what it says as one that was named.
  for (const { address, found } of cluster?.masters ?? []) servers.set(address, found);
  const each = new Map<string, readonly Finding[]>();
  const clocks: ClockReading[] = [];
  for (const [address, found] of servers) {
    if (found instanceof Error) each.set(address, [redisUnreachable(address, found)]);
    else {
      const own = { ...config, redis: { ...config.redis, url: urlAt(named[0]!, address) } };
      // A replica that is named is as good a server to ask as a master.
      each.set(
        address,
        checkRedis(
          own,
          { ...found, role: 'master' },
          cluster?.masters.some((master) => master.address === address),
        ),
      );
      clocks.push(clockOf(found, `redis ${address}`));
    }
  }
  return { findings: [...together(each), ...(cluster === null ? [] : checkRedisCluster(cluster))], clocks };
}

/** `isTried`: whether it was tried for all that a node does. */
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
