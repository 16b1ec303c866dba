import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { describeObstacles, type Obstacle } from '../../backplane/redis/start/rights.ts';
import type { Config } from '../../config/config.ts';
import { redisAddress } from '../../util/redis-url.ts';
import { type Finding, ok, problem } from './finding.ts';

const ADVICE: Readonly<Record<Obstacle['kind'], string>> = {
  right: 'grant exactly that; deploy/README.md has the whole line for a user of its own',
  unknown: 'a node cannot start without it',
  database: 'a node cannot start without it',
  writes:
    'free memory or disk, or bring the replica back: until then publishes are refused, and nodes are not ready',
  other: 'see what its log says; a node cannot start without it',
};

/** Whether the user of `redis.url` may do all that a node does, and Redis does it: each was tried. */
export function checkRedisRights({ redis }: Config, { obstacles, role }: RedisFacts): Finding[] {
  if (obstacles.length === 0) {
    return role === 'master'
      ? [ok('redis rights', 'everything that a node does was tried, and is allowed')]
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
