import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { type Finding, ok, problem, warning } from './finding.ts';
import { bytes } from './units.ts';

const ABOUT = 'redis memory';
const NEARLY_FULL = 0.8;

/** A limit, and what happens at the limit: a publish is refused and told so, or rooms are dropped in silence. */
export function checkRedisMemory(facts: RedisFacts): Finding[] {
  return [limit(facts), policy(facts), ...evictions(facts)];
}

function limit({ maxMemoryBytes, usedMemoryBytes }: RedisFacts): Finding {
  const used = bytes(usedMemoryBytes);
  if (maxMemoryBytes === 0) {
    return warning(
      ABOUT,
      `there is no limit (maxmemory 0); ${used} are used`,
      'set maxmemory to about 3/4 of what the machine can spare, or the kernel ends Redis when memory runs out',
    );
  }
  const share = usedMemoryBytes / maxMemoryBytes;
  const says = `${used} of ${bytes(maxMemoryBytes)} are used`;
  if (share < NEARLY_FULL) return ok(ABOUT, says);
  return warning(
    ABOUT,
    `${says} (${Math.round(share * 100)} %)`,
    'raise maxmemory, or keep less: history.messages, history.ageMs, dedupWindowMs',
  );
}

function policy({ maxMemoryBytes, maxMemoryPolicy }: RedisFacts): Finding {
  if (maxMemoryPolicy === 'noeviction') return ok(ABOUT, 'nothing is evicted (noeviction)');
  const says = `maxmemory-policy is ${maxMemoryPolicy}: at the limit, history and numbering of rooms are dropped without a word`;
  const advice = 'set maxmemory-policy noeviction, so that a publish is refused instead';
  return maxMemoryBytes > 0 ? problem(ABOUT, says, advice) : warning(ABOUT, says, advice);
}

function evictions({ evictedKeys }: RedisFacts): Finding[] {
  if (evictedKeys === 0) return [];
  return [
    warning(
      ABOUT,
      `${evictedKeys} keys were evicted since it started`,
      'expect resets and gaps in those rooms',
    ),
  ];
}
