import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { bytes } from './units.ts';

const ABOUT = 'redis memory';
const NEARLY_FULL = 0.8;

/**
 * The memory limit, and what happens there: publishes are refused with an error, or rooms are dropped
 * silently.
 */
export function checkRedisMemory(facts: RedisFacts): Finding[] {
  return [limit(facts), policy(facts), ...evictions(facts)];
}

function limit({ maxMemoryBytes, usedMemoryBytes }: RedisFacts): Finding {
  const used = bytes(usedMemoryBytes);
  if (maxMemoryBytes === 0) {
    return warning(
      ABOUT,
      `there is no limit (maxmemory 0); ${used} in use`,
      'set maxmemory to about 3/4 of the free memory, or the kernel kills Redis when memory runs out',
    );
  }
  const share = usedMemoryBytes / maxMemoryBytes;
  const says = `${used} of ${bytes(maxMemoryBytes)} in use`;
  if (share < NEARLY_FULL) return ok(ABOUT, says);
  return warning(
    ABOUT,
    `${says} (${Math.round(share * 100)} %)`,
    'raise maxmemory, or keep less: history.messages, history.bytes, history.ageMs, dedupWindowMs',
  );
}

function policy({ maxMemoryBytes, maxMemoryPolicy }: RedisFacts): Finding {
  if (maxMemoryPolicy === 'noeviction') return ok(ABOUT, 'nothing is evicted (noeviction)');
  const says = `maxmemory-policy is ${maxMemoryPolicy}: at the limit, Redis silently drops the history and numbering of rooms`;
  const advice = 'set maxmemory-policy noeviction, so that publishes are refused instead';
  return maxMemoryBytes > 0 ? problem(ABOUT, says, advice) : warning(ABOUT, says, advice);
}

function evictions({ evictedKeys }: RedisFacts): Finding[] {
  if (evictedKeys === 0) return [];
  return [
    warning(
      ABOUT,
      `Redis evicted ${evictedKeys} keys since it started`,
      'expect resets and gaps in those rooms',
    ),
  ];
}
