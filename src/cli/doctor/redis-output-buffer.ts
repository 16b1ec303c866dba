import type { RedisFacts } from '../../backplane/redis/start/inspect.ts';
import { type Finding, ok, warning } from './finding.ts';
import { bytes } from './units.ts';

const ABOUT = 'redis output buffer';
const MIB = 1_048_576;
/** Redis's default, 32 MiB, or 8 MiB for a minute, is a second or less of heavy traffic. */
const LEAST_HARD_BYTES = 64 * MIB;
const LEAST_SOFT_BYTES = 32 * MIB;

/** What may wait in Redis for a node that reads slowly, before Redis cuts its subscribe link. */
export function checkRedisOutputBuffer({ pubsubBuffer }: RedisFacts): Finding[] {
  if (pubsubBuffer === null) {
    return [
      ok(
        ABOUT,
        'Redis does not report its limits (CONFIG is off, or the user lacks +config|get)',
        'check that its provider allows at least 64 MiB for subscribers',
      ),
    ];
  }
  const { hardBytes, softBytes, softSeconds } = pubsubBuffer;
  if (hardBytes === 0) {
    return [
      warning(
        ABOUT,
        'there is no limit for subscribers: one hung node can fill the memory of Redis',
        'set client-output-buffer-limit pubsub 64mb 32mb 30',
      ),
    ];
  }
  const soft = softBytes === 0 ? '' : `, or ${bytes(softBytes)} for ${softSeconds} s`;
  const says = `subscribers are cut off at ${bytes(hardBytes)}${soft}`;
  if (hardBytes >= LEAST_HARD_BYTES && (softBytes === 0 || softBytes >= LEAST_SOFT_BYTES))
    return [ok(ABOUT, says)];
  return [
    warning(
      ABOUT,
      `${says}: a burst cuts off nodes that are only slightly behind, and all of their rooms must catch up`,
      'set client-output-buffer-limit pubsub 64mb 32mb 30',
    ),
  ];
}
