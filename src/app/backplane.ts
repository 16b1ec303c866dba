import type { Backplane } from '../backplane/backplane.ts';
import { MemoryBackplane } from '../backplane/memory/memory-backplane.ts';
import type { BackplaneMetrics } from '../backplane/metrics.ts';
import { RedisBackplane } from '../backplane/redis/redis-backplane.ts';
import { systemClock } from '../util/clock.ts';
import type { BackplaneParts } from './extensions.ts';
import type { RedisTls } from './redis-tls.ts';

/** The backplane that the configuration names: Redis, or the memory of this process. */
export function createBackplane(
  { nodeId, config, log }: BackplaneParts,
  metrics: BackplaneMetrics,
  redisTls: RedisTls | null,
): Backplane {
  const { redis, presence, dedupWindowMs, metaTtlMs, acks } = config;
  const shared = { nodeId, dedupWindowMs, metaTtlMs, acksTtlMs: acks.ttlMs, clock: systemClock };
  if (redis.url === null) return new MemoryBackplane(shared);
  const { url, tls: _files, ...rest } = redis;
  return new RedisBackplane({
    ...shared,
    ...rest,
    leaseMs: presence.leaseMs,
    url,
    metrics,
    log,
    // TLS options, even empty ones, would make the client use TLS.
    ...(redisTls === null ? {} : { tls: redisTls.options }),
  });
}
