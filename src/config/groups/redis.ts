/** Settings under `redis`. */
import { z } from 'zod';
import { readRedisUrls } from '../../util/redis-url.ts';
import { derivedYesNo, optionalJudged, text, whole } from '../fields.ts';
import { MINUTE_MS } from './shared.ts';
import { redisTls } from './tls.ts';

function redisUrlProblem(text: string): string | null {
  const read = readRedisUrls(text);
  return 'problem' in read ? read.problem : null;
}

// What says where Redis is has flags, so that a node can be tried with nothing but a command line. What all nodes must have alike, and
// what is set once, belongs in a file or the environment.
export const redis = z.strictObject({
  // Null: the memory backplane, a whole broker in one process, so that trying it needs nothing else.
  url: optionalJudged({
    problemOf: redisUrlProblem,
    expected: 'a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0',
    flag: '--redis <url>',
    alias: 'REDIS_URL',
    secret: true,
    meaning:
      'Redis that connects the nodes; without it, one node is the whole broker, in memory. For a Redis Cluster, several of its servers with commas between them: the node finds the others',
  }),
  // Derived: who names several servers means a cluster. One address of a cluster is enough where a name leads to all servers.
  cluster: derivedYesNo({
    defaultText: '`true` if `redis.url` names several servers',
    flag: '--redis-cluster',
    meaning: 'Treat the Redis as a Redis Cluster',
  }),
  // URLs, since Sentinels may have a password of their own.
  sentinels: optionalJudged({
    problemOf: redisUrlProblem,
    expected: 'URLs such as redis://10.0.0.1:26379,redis://10.0.0.2:26379',
    flag: '--redis-sentinels <urls>',
    secret: true,
    meaning:
      'Sentinels that say where the primary is: their URLs with commas between them. User, password, database and TLS of Redis itself are those of `redis.url`, whose host is not used',
  }),
  sentinelName: text({
    standard: 'mymaster',
    pattern: /^[\w.-]{1,64}$/,
    expected: '1 to 64 letters, digits or any of _ . -',
    flag: '--redis-sentinel-name <name>',
    meaning: 'Name by which the Sentinels know the primary',
  }),
  // No braces: they would replace the hash tag that keeps a room's keys together.
  keyPrefix: text({
    standard: 'rc',
    pattern: /^[\w.:-]{1,64}$/,
    expected: '1 to 64 letters, digits or any of _ . : -',
    meaning: 'Prefix of every key and channel; clusters that share one Redis need different prefixes',
  }),
  // Long enough for a Redis that starts together with the node, short enough for an orchestrator to notice.
  startupTimeoutMs: whole({
    min: 0,
    max: 10 * MINUTE_MS,
    standard: 10_000,
    meaning: 'Milliseconds to keep trying an unreachable Redis at start',
  }),
  // A publisher should get `unavailable` or `timeout` before its own timeout ends.
  commandTimeoutMs: whole({
    min: 50,
    max: MINUTE_MS,
    standard: 1500,
    meaning: 'Milliseconds after which a Redis command fails',
  }),
  // Many more than a cluster has masters, few enough that rooms under load share a batch.
  partitions: whole({
    min: 1,
    max: 16_384,
    standard: 128,
    meaning: 'Number of buckets that rooms are hashed into; must be the same on every node of a cluster',
  }),
  tls: redisTls,
});
