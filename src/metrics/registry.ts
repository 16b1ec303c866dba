import { collectDefaultMetrics, Registry } from 'prom-client';
import { ackMetrics } from './acks.ts';
import { type BackplaneSamples, backplaneMetrics } from './backplane.ts';
import { commandMetrics, errorMetrics } from './commands.ts';
import { type ConnectionSamples, connectionMetrics } from './connections.ts';
import { httpMetrics } from './http.ts';
import { limitMetrics } from './limits.ts';
import { messageMetrics } from './messages.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { presenceMetrics } from './presence.ts';
import { type ReadSamples, readMetrics } from './reads.ts';
import { type RecoverySamples, recoveryMetrics } from './recovery.ts';
import { type RoomSamples, roomMetrics } from './rooms.ts';
import { SampledMetric } from './sampled-metric.ts';
import { type TokenSamples, tokenMetrics } from './tokens.ts';
import { trafficMetrics } from './traffic.ts';

/**
 * Values that are sampled rather than counted: each is called once per scrape. MUST NOT throw, or the scrape
 * fails.
 */
export interface Samples
  extends ConnectionSamples,
    TokenSamples,
    RoomSamples,
    RecoverySamples,
    ReadSamples,
    BackplaneSamples {}

export interface BuildInfo {
  /** Version of Roomcast. */
  readonly version: string;
  /** Version of uWebSockets.js. */
  readonly uws: string;
}

/**
 * A registry over a node's numbers, with prom-client's defaults for the process (`process_*`, `nodejs_*`,
 * including the event loop's delay). `registry.metrics()` renders it. The defaults start watchers that live
 * as long as the process: make one registry per node.
 */
export function createRegistry(metrics: NodeMetrics, samples: Samples, build: BuildInfo): Registry {
  const registry = new Registry();
  const declared = [
    buildInfo(build),
    ...connectionMetrics(metrics.connections, samples),
    ...tokenMetrics(metrics.tokens, samples),
    ...roomMetrics(samples),
    ...trafficMetrics(metrics.traffic),
    ...commandMetrics(metrics.commands),
    ...errorMetrics(metrics.errors),
    ...limitMetrics(metrics.limits),
    ...messageMetrics(metrics.messages),
    ...recoveryMetrics(metrics.recovery, samples),
    ...readMetrics(metrics.reads, samples),
    ...presenceMetrics(metrics.presence),
    ...ackMetrics(metrics.acks),
    ...backplaneMetrics(metrics.backplane, samples),
    ...httpMetrics(metrics.http),
  ];
  for (const metric of declared) metric.register(registry);
  collectDefaultMetrics({ register: registry });
  return registry;
}

function buildInfo({ version, uws }: BuildInfo): SampledMetric {
  const labels = { version, node_version: process.version, uws };
  return new SampledMetric({
    type: 'gauge',
    name: 'roomcast_build_info',
    help: 'Always 1; its labels name the running versions.',
    labelNames: Object.keys(labels),
    read: () => [{ labels, value: 1 }],
  });
}
