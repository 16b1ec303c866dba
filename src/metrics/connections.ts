import { LATENCY_SECONDS } from './buckets.ts';
import { CLOSE_CODES, ENCODINGS, type EncodingLabel, FLOODS, UPGRADE_REFUSALS, zeros } from './labels.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, gauge, gaugeBy, histogram, type SampledMetric } from './sampled-metric.ts';

const KNOWN_CLOSE_CODES: ReadonlySet<number> = new Set(CLOSE_CODES);

/** Connections: how they come, live and go. */
export class ConnectionStats {
  readonly opened = zeros(ENCODINGS);
  /** By close code; see `countClose`. */
  readonly closed = zeros([...CLOSE_CODES.map((code) => `${code}` as const), 'other']);
  readonly upgradesRejected = zeros(UPGRADE_REFUSALS);
  /** Seconds. */
  readonly heartbeatRoundTrip = new SampledHistogram(LATENCY_SECONDS);
  heartbeatTimeouts = 0;
  /** By what they sent too much of. */
  readonly floods = zeros(FLOODS);

  /** Counts a close by its code, whichever side it came from; codes outside the closed set are `other`. */
  countClose(code: number): void {
    const label = KNOWN_CLOSE_CODES.has(code) ? (`${code}` as keyof ConnectionStats['closed']) : 'other';
    this.closed[label]++;
  }
}

export interface ConnectionSamples {
  /** Connections open now. */
  connections(): Readonly<Record<EncodingLabel, number>>;
  /** Connections that have yet to present their token. */
  unauthenticated(): number;
  /** Connections that the node accepts at most, and how many of them may be without a token. */
  connectionLimits(): { readonly all: number; readonly unauthenticated: number };
  /** The node is shutting down and sends its connections elsewhere. */
  draining(): boolean;
}

export function connectionMetrics(stats: ConnectionStats, samples: ConnectionSamples): SampledMetric[] {
  return [
    gaugeBy(
      'encoding',
      'roomcast_connections',
      'Connections open now, counted from the upgrade: one that has yet to present its token is among them.',
      () => samples.connections(),
    ),
    gauge(
      'roomcast_connections_limit',
      'Connections that the node accepts at most: websocket.maxConnections, or what the limit on open files leaves.',
      () => samples.connectionLimits().all,
    ),
    gauge(
      'roomcast_connections_unauthenticated',
      'Connections open now that have yet to present their token.',
      () => samples.unauthenticated(),
    ),
    gauge(
      'roomcast_connections_unauthenticated_limit',
      'Connections without a token that the node accepts at most at a time, where it asks for tokens.',
      () => samples.connectionLimits().unauthenticated,
    ),
    gauge(
      'roomcast_draining',
      '1 while the node shuts down and sends its connections elsewhere, else 0.',
      () => (samples.draining() ? 1 : 0),
    ),
    counterBy(
      'encoding',
      'roomcast_connections_opened_total',
      'Connections opened. Upgrades that were rejected are not counted here.',
      () => stats.opened,
    ),
    counterBy(
      'code',
      'roomcast_connections_closed_total',
      'Connections closed, by WebSocket close code, whichever side closed. 1006: the socket ended without a close frame. other: a code of the client outside the known set.',
      () => stats.closed,
    ),
    counterBy(
      'reason',
      'roomcast_floods_total',
      'Connections closed with 4009, by what they sent too much of. messages: without a command in them. commands: also refused ones that were sent again and again.',
      () => stats.floods,
    ),
    counterBy(
      'reason',
      'roomcast_upgrades_rejected_total',
      'WebSocket upgrades answered with an HTTP error. Requests that break HTTP itself never get this far and are not counted, nor are those whose ?token= is refused: they are upgraded and then closed.',
      () => stats.upgradesRejected,
    ),
    histogram(
      'roomcast_heartbeat_round_trip_seconds',
      'Time from a WebSocket ping to its pong, with the time that the event loop took to see it. Pings that were never answered are not counted here.',
      stats.heartbeatRoundTrip,
    ),
    counter(
      'roomcast_heartbeat_timeouts_total',
      'Connections closed with 4010 because nothing came from them for two heartbeats.',
      () => stats.heartbeatTimeouts,
    ),
  ];
}
