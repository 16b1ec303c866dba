import type { Registry } from 'prom-client';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { createRegistry, type Samples } from '../../src/metrics/registry.ts';

/** Samples of a node that does nothing. */
export const idleSamples: Samples = {
  connections: () => ({ msgpack: 0, json: 0, sse: 0 }),
  unauthenticated: () => 0,
  unreadBytes: () => 0,
  connectionLimits: () => ({ all: 1000, unauthenticated: 100 }),
  revocations: () => ({ user: 0, token: 0 }),
  rooms: () => 0,
  memberships: () => 0,
  shortHistories: () => 0,
  trimmedEarly: () => 0,
  keptOut: () => 0,
  catchingUp: () => 0,
  readsInFlight: () => 0,
  readsWaiting: () => 0,
  backplaneReady: () => true,
  draining: () => false,
};

/** A registry as a node would have it, over numbers of its own. */
export function testRegistry(metrics = new NodeMetrics(), samples: Samples = idleSamples): Registry {
  return createRegistry(metrics, samples, { version: '1.2.3', uws: '20.49.0' });
}

/** Value of one line of an exposition, such as `name{label="x"}`; undefined where there is no such line. */
export function readMetric(exposition: string, series: string): number | undefined {
  const line = exposition.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}
