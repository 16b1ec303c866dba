/**
 * How the parts of the backplane call Redis: by what a call is about. They know neither how many servers there are nor
 * which of them has a room.
 */
import type { Redis } from 'ioredis';
import type { Place } from '../../backplane.ts';

/** One server, for the time of one call. */
export interface ShardAccess {
  readonly redis: Redis;
  /** It is part of a Redis Cluster. */
  readonly isCluster: boolean;
  /** Of a place on it: see `Lineages`. */
  lineageOf(place: Place): string;
  /** A message that it has was read: see `Evidence`. */
  saw(room: string, epoch: string, offset: number): void;
}

/** Both reject with a `BackplaneError` of that stage: at once while the server is known to be away. */
export interface ShardCalls {
  /** Runs `work` on the command link of the shard that has the place. */
  ask<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T>;
  /** On the link for long replies. */
  askRead<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T>;
  /** In groups that share a shard, for calls that carry many rooms. Each keeps the order. */
  grouped<T>(items: readonly T[], roomOf: (item: T) => string): readonly (readonly T[])[];
}
