import { LIMITS, zeros } from './labels.ts';
import { counterBy, type SampledMetric } from './sampled-metric.ts';

/** What was turned away, by the limit that did it: `limits[name]++`. */
export type LimitStats = Record<(typeof LIMITS)[number], number>;

export function newLimitStats(): LimitStats {
  return zeros(LIMITS);
}

export function limitMetrics(stats: LimitStats): SampledMetric[] {
  return [
    counterBy(
      'limit',
      'roomcast_limited_total',
      'Times that a limit turned something away: a command, a WebSocket message, a request, a connection. limit: the name of its setting; docs/limits.md lists them.',
      () => stats,
    ),
  ];
}
