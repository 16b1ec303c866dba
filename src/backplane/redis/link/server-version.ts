/** Whether nodes can use a server at all, from its reply to INFO. */
import { isReplica } from './replication.ts';

const OLDEST_MAJOR = 7;

/** What kind of server it is if it is the wrong one, and what to do; else null. */
export function serverProblem(info: string, isCluster = false): string | null {
  const mode = fieldOf(info, 'redis_mode') ?? fieldOf(info, 'server_mode');
  if (mode === 'sentinel') {
    return 'it is a Sentinel, which stores no data: name it in redis.sentinels (--redis-sentinels), or set redis.url to the address of the primary';
  }
  const isInCluster = mode === 'cluster' || fieldOf(info, 'cluster_enabled') === '1';
  if (isInCluster && !isCluster) {
    return 'it is part of a Redis Cluster: set redis.cluster (--redis-cluster), or name a single Redis in redis.url';
  }
  if (isCluster && !isInCluster) {
    return 'it is not part of a Redis Cluster (its cluster-enabled is off): remove redis.cluster, or name servers of a cluster in redis.url';
  }
  return versionProblem(info);
}

/**
 * What is wrong with the version in this reply to INFO, or null. `SET` with both `NX` and `GET` came with
 * version 7. Valkey reports the equivalent Redis version.
 */
export function versionProblem(info: string): string | null {
  const version = fieldOf(info, 'redis_version');
  if (version === undefined) return 'it does not report its version';
  if (Number.parseInt(version, 10) >= OLDEST_MAJOR) return null;
  return `it is version ${version}, but nodes need version ${OLDEST_MAJOR}.0 or later`;
}

/** A temporary problem, or null. */
export function passingProblem(info: string): string | null {
  if (fieldOf(info, 'loading') === '1') return 'it is still loading its data';
  if (isReplica(info)) return 'it is a read-only replica';
  return null;
}

function fieldOf(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
}
