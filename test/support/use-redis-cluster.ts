/** What tests of a Redis Cluster stand on: one cluster for the file, with nodes on it. */
import { afterAll, beforeAll } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { slotOf } from '../../src/backplane/redis/keys/slots.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import type { RedisServer } from './redis.ts';
import { RedisCluster } from './redis-cluster.ts';

/** As nodes have them by default. */
const KEYS = new Keys('rc', 128);

export interface UsedRedisCluster {
  readonly redis: RedisCluster;
  readonly nodes: Cluster;
  /** The shard that has what is one for the whole cluster: leases, denials, signals. */
  controlShard(): Promise<RedisServer>;
  /** One that has not. */
  otherShard(): Promise<RedisServer>;
  /** Names of rooms that a shard has now. */
  roomsOn(shard: RedisServer, count: number, name: string): Promise<string[]>;
  /** Slots of a shard in which rooms are. */
  busySlots(shard: RedisServer): Promise<number[]>;
}

/** Called at the top of a test file. Nothing of what it returns may be used before the tests run. */
export function useRedisCluster(options: Omit<ClusterOptions, 'redis'> = {}): UsedRedisCluster {
  let redis: RedisCluster;
  let nodes: Cluster;
  beforeAll(async () => {
    redis = await RedisCluster.start();
    nodes = await Cluster.start({ ...options, redis: redis.url });
  });
  afterAll(async () => {
    await nodes?.dispose();
    await redis?.dispose();
  });
  const controlShard = () => redis.owner(KEYS.leases());
  const busySlots = async (shard: RedisServer) => {
    const slots = new Set(await redis.slots(shard));
    const ofPartitions = Array.from({ length: KEYS.partitions }, (_, i) => KEYS.slotOfPartition(i));
    return ofPartitions.filter((slot) => slots.has(slot));
  };
  return {
    get redis() {
      return redis;
    },
    get nodes() {
      return nodes;
    },
    controlShard,
    async otherShard() {
      const control = await controlShard();
      return (await redis.masters()).find((master) => master !== control)!;
    },
    async roomsOn(shard, count, name) {
      const slots = new Set(await busySlots(shard));
      if (slots.size === 0) throw new Error(`no room is on ${shard.port}: it has no slot of a partition`);
      const rooms: string[] = [];
      for (let i = 0; rooms.length < count; i++) {
        if (slots.has(slotOf(KEYS.meta(`${name}:${i}`)))) rooms.push(`${name}:${i}`);
      }
      return rooms;
    },
    busySlots,
  };
}
