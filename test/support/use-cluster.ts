/** What most chaos tests stand on: a Redis and a cluster on it, there while the tests of a file run. */
import { afterAll, beforeAll } from 'vitest';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { Crowd } from './crowd.ts';
import { RedisServer, type RedisSettings } from './redis.ts';

export interface UsedCluster {
  readonly redis: RedisServer;
  readonly cluster: Cluster;
  /** A hundred members and a publisher through each of three nodes. */
  gatherHundred(room: string): Promise<Crowd>;
}

/** Called at the top of a test file. Nothing of what it returns may be used before the tests run. */
export function useCluster(
  options: Omit<ClusterOptions, 'redis'> = {},
  settings: RedisSettings = {},
): UsedCluster {
  let redis: RedisServer;
  let cluster: Cluster;
  beforeAll(async () => {
    redis = await RedisServer.start(settings);
    cluster = await Cluster.start({ ...options, redis: redis.url });
  });
  afterAll(async () => {
    await cluster.dispose();
    await redis.dispose();
  });
  return {
    get redis() {
      return redis;
    },
    get cluster() {
      return cluster;
    },
    gatherHundred: (room) =>
      Crowd.gather({ room, urls: cluster.urls, members: [34, 33, 33], publishers: [0, 1, 2] }),
  };
}
