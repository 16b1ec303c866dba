import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { describeObstacles, type Obstacle } from '../../backplane/redis/start/rights.ts';
import type { Config } from '../../config/config.ts';
import { redisAddress } from '../../util/redis-url.ts';
import { type Finding, ok, problem } from './finding.ts';

const ADVICE: Readonly<Record<Obstacle['kind'], string>> = {
  right: 'grant exactly that; deploy/README.md has the full ACL for a separate user',
  unknown: 'a node cannot start without it',
  database: 'a node cannot start without it',
  writes:
    'free memory or disk, or bring the replica back: until then publishes are refused and nodes are not ready',
  other: 'see its log; a node cannot start without it',
};

/**
 * Whether the user of `redis.url` may do everything that a node does, and Redis does it: each command is
 * tried.
 */
export function checkRedisRights({ redis }: Config, { obstacles, role }: RedisFacts): Finding[] {
  if (obstacles.length === 0) {
    return role === 'master'
      ? [ok('redis rights', 'every command that a node needs was tried, and is allowed')]
      : [];
  }
  const { username } = redisAddress(redis.url!);
  const kinds = [...new Set(obstacles.map(({ kind }) => kind))];
  return kinds.map((kind) => {
    const says = describeObstacles(
      obstacles.filter((one) => one.kind === kind),
      username,
      'it',
    );
    return problem(kind === 'writes' ? 'redis writes' : 'redis rights', says, ADVICE[kind]);
  });
}
