import { LATENCY_SECONDS } from './buckets.ts';
import { CLOSE_CODES, ENCODINGS, type EncodingLabel, FLOODS, UPGRADE_REFUSALS, zeros } from './labels.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, gauge, gaugeBy, histogram, type SampledMetric } from './sampled-metric.ts';

const KNOWN_CLOSE_CODES: ReadonlySet<number> = new Set(CLOSE_CODES);

/** Connections: how they open, live and close. */
export class ConnectionStats {
  readonly opened = zeros(ENCODINGS);
  /** By close code; see `countClose`. */
  readonly closed = zeros([...CLOSE_CODES.map((code) => `${code}` as const), 'other']);
  readonly upgradesRejected = zeros(UPGRADE_REFUSALS);
  /** Seconds. */
  readonly heartbeatRoundTrip = new SampledHistogram(LATENCY_SECONDS);
  heartbeatTimeouts = 0;
  /** By what the connection sent too much of. */
  readonly floods = zeros(FLOODS);

  /** Counts a close by its code, whichever side closed; codes outside the closed set are `other`. */
  countClose(code: number): void {
    const label = KNOWN_CLOSE_CODES.has(code) ? (`${code}` as keyof ConnectionStats['closed']) : 'other';
    this.closed[label]++;
  }
}

export interface ConnectionSamples {
  /** Connections open now. */
  connections(): Readonly<Record<EncodingLabel, number>>;
  /** Connections that have not presented their token yet. */
  unauthenticated(): number;
  /** Maximum connections to the node, and how many of them may be without a token. */
  connectionLimits(): { readonly all: number; readonly unauthenticated: number };
  /** Bytes that wait in the process for all connections together. */
  unreadBytes(): number;
  /** The node is shutting down and moves its connections to other nodes. */
  draining(): boolean;
}

export function connectionMetrics(stats: ConnectionStats, samples: ConnectionSamples): SampledMetric[] {
  return [
    gaugeBy(
      'encoding',
      'roomcast_connections',
      'Connections open now, counted from the upgrade, including those that have not presented their token yet. sse: event streams.',
      () => samples.connections(),
    ),
    gauge(
      'roomcast_connections_limit',
      'Maximum connections to the node: websocket.maxConnections, or what the limit on open files allows.',
      () => samples.connectionLimits().all,
    ),
    gauge(
      'roomcast_connections_unauthenticated',
      'Connections open now that have not presented their token yet.',
      () => samples.unauthenticated(),
    ),
    gauge(
      'roomcast_connections_unauthenticated_limit',
      'Maximum connections that have not presented a token yet, when the node requires tokens.',
      () => samples.connectionLimits().unauthenticated,
    ),
    gauge(
      'roomcast_unread_bytes',
      'Bytes that wait in the process for clients to read them, all connections together; see limits.unreadBytes.',
      () => samples.unreadBytes(),
    ),
    gauge(
      'roomcast_draining',
      '1 while the node shuts down and moves its connections to other nodes, else 0.',
      () => (samples.draining() ? 1 : 0),
    ),
    counterBy(
      'encoding',
      'roomcast_connections_opened_total',
      'Connections opened. Excludes rejected ones.',
      () => stats.opened,
    ),
    counterBy(
      'code',
      'roomcast_connections_closed_total',
      'Connections closed, by WebSocket close code, whichever side closed. 1005: without a code, as event streams whose reader left. 1006: the socket ended without a close frame. other: the client sent a code outside the known set.',
      () => stats.closed,
    ),
    counterBy(
      'reason',
      'roomcast_floods_total',
      'Connections closed with 4009, by what they sent too much of. messages: WebSocket messages without a command. commands: includes refused commands that were sent repeatedly.',
      () => stats.floods,
    ),
    counterBy(
      'reason',
      'roomcast_upgrades_rejected_total',
      'WebSocket upgrades and requests for event streams answered with an HTTP error. Excludes requests that are not valid HTTP, and those whose ?token= is refused: they are upgraded and then closed.',
      () => stats.upgradesRejected,
    ),
    histogram(
      'roomcast_heartbeat_round_trip_seconds',
      'Time from a WebSocket ping to its pong, including the time until the event loop handled it. Excludes pings that were never answered.',
      stats.heartbeatRoundTrip,
    ),
    counter(
      'roomcast_heartbeat_timeouts_total',
      'Connections closed with 4010 because nothing arrived from them for two heartbeats.',
      () => stats.heartbeatTimeouts,
    ),
  ];
}
