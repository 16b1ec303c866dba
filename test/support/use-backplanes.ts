/**
 * What the conformance suites stand on: the backplane in memory, one on a Redis of the file's own, and one on a Redis Cluster
 * that all files share. What a test opened is closed after it.
 */
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import type { Backplane } from '../../src/backplane/backplane.ts';
import { MemoryBackplane } from '../../src/backplane/memory/memory-backplane.ts';
import { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { randomId } from '../../src/util/ids.ts';
import { memoryOptions, type Running, redisOptions, start, type Times } from './backplanes.ts';
import { RedisServer } from './redis.ts';

export interface UseOptions {
  /** `long`: over a cluster in long runs only (`CONFORMANCE=long`), since the file takes seconds and little of it differs there. */
  readonly cluster?: 'always' | 'long';
}

export interface UsedBackplanes {
  /** Not to be used before the tests run. */
  readonly server: RedisServer;
  /** What a test started: closed when it is over. */
  readonly open: Backplane[];
  /** For `describe.each`. */
  readonly factories: readonly (readonly [kind: string, start: (times?: Times) => Promise<Running>])[];
  /** The same, not started, for a node with this id. */
  readonly makers: readonly (readonly [kind: string, make: (nodeId: string) => Backplane])[];
}

type Kind = readonly [kind: string, make: (nodeId: string, times?: Times) => Backplane];

/** Called at the top of a test file. */
export function useBackplanes({ cluster = 'always' }: UseOptions = {}): UsedBackplanes {
  const withCluster = cluster === 'always' || process.env.CONFORMANCE === 'long';
  let server: RedisServer;
  let clusterUrl: string;
  const open: Backplane[] = [];
  beforeAll(async () => {
    server = await RedisServer.start();
    if (withCluster) clusterUrl = await sharedCluster();
  });
  afterAll(() => server.dispose());
  afterEach(async () => {
    for (const backplane of open.splice(0)) await backplane.close();
  });
  const onRedis = (url: string, isCluster: boolean, nodeId: string, times: Times = {}) =>
    new RedisBackplane(redisOptions(url, { ...times, cluster: isCluster, nodeId }));
  const kinds: readonly Kind[] = [
    ['memory', (nodeId, times) => new MemoryBackplane({ ...memoryOptions(times), nodeId })],
    ['redis', (nodeId, times) => onRedis(server.url, false, nodeId, times)],
    ['redis cluster', (nodeId, times) => onRedis(clusterUrl, true, nodeId, times)],
  ];
  const makers = withCluster ? kinds : kinds.slice(0, 2);
  return {
    get server() {
      return server;
    },
    open,
    makers,
    factories: makers.map(([kind, make]) => [kind, (times) => startOne(make, times)]),
  };
}

function startOne(make: Kind[1], times?: Times): Promise<Running> {
  const nodeId = randomId(8);
  return start(make(nodeId, times), nodeId);
}

/** Its URLs, for `redis.url`. No test may harm it. */
async function sharedCluster(): Promise<string> {
  const answer = await fetch(inject('sharedCluster'));
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}
