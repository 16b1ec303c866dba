import { BATCH_COUNTS, LATENCY_SECONDS } from './buckets.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, gauge, gaugeBy, histogram, type SampledMetric } from './sampled-metric.ts';

/**
 * What the Redis backplane reports, implementing the interface in `backplane/metrics.ts`. Links are few and
 * named by our own code, so a link appears in the labels when it first reports.
 */
export class BackplaneStats {
  readonly batchMessages = new SampledHistogram(BATCH_COUNTS);
  readonly batchRooms = new SampledHistogram(BATCH_COUNTS);
  /** Seconds. */
  readonly batchDuration = new SampledHistogram(LATENCY_SECONDS);
  batchBytes = 0;
  readonly linkUp: Record<string, number> = {};
  readonly reconnects: Record<string, number> = {};
  /** Seconds. */
  readonly probeLag = new SampledHistogram(LATENCY_SECONDS);
  scriptReloads = 0;
  malformedEnvelopes = 0;
  readonly presenceBatchChanges = new SampledHistogram(BATCH_COUNTS);
  /** Seconds. */
  readonly presenceBatchDuration = new SampledHistogram(LATENCY_SECONDS);
  leaseHeld = 0;
  leasesLost = 0;
  claims = 0;
  sweptEntries = 0;

  /** One group commit was answered. */
  publishBatch(messages: number, rooms: number, bytes: number, durationMs: number): void {
    this.batchMessages.observe(messages);
    this.batchRooms.observe(rooms);
    this.batchDuration.observe(durationMs / 1000);
    this.batchBytes += bytes;
  }

  linkState(link: string, up: boolean): void {
    this.linkUp[link] = up ? 1 : 0;
    this.reconnects[link] ??= 0;
  }

  reconnected(link: string): void {
    this.reconnects[link] = (this.reconnects[link] ?? 0) + 1;
  }

  probe(lagMs: number): void {
    this.probeLag.observe(lagMs / 1000);
  }

  scriptReloaded(): void {
    this.scriptReloads++;
  }

  malformedEnvelope(): void {
    this.malformedEnvelopes++;
  }

  /** One call with presence changes was answered or failed. */
  presenceBatch(changes: number, _rooms: number, durationMs: number): void {
    this.presenceBatchChanges.observe(changes);
    this.presenceBatchDuration.observe(durationMs / 1000);
  }

  leaseState(held: boolean): void {
    this.leaseHeld = held ? 1 : 0;
  }

  leaseLost(): void {
    this.leasesLost++;
  }

  claimMade(): void {
    this.claims++;
  }

  entriesSwept(count: number): void {
    this.sweptEntries += count;
  }
}

export interface BackplaneSamples {
  backplaneReady(): boolean;
}

export function backplaneMetrics(stats: BackplaneStats, samples: BackplaneSamples): SampledMetric[] {
  return [...linkMetrics(stats, samples), ...batchMetrics(stats), ...presenceMetrics(stats)];
}

function linkMetrics(stats: BackplaneStats, samples: BackplaneSamples): SampledMetric[] {
  return [
    gauge(
      'roomcast_backplane_ready',
      '1 while the backplane accepts publishes and its deliveries arrive here, else 0.',
      () => (samples.backplaneReady() ? 1 : 0),
    ),
    gaugeBy(
      'link',
      'roomcast_backplane_link_up',
      '1 while the link to Redis is connected, else 0. A connected link can still deliver nothing: see the probe lag. Absent with the memory backplane.',
      () => stats.linkUp,
    ),
    counterBy(
      'link',
      'roomcast_backplane_reconnects_total',
      'Times that a lost link to Redis reconnected. Excludes the first connection and failed attempts.',
      () => stats.reconnects,
    ),
    histogram(
      'roomcast_backplane_probe_lag_seconds',
      'Time from publishing a probe to its arrival on the subscribe link. Excludes probes that never arrived: those set roomcast_backplane_ready to 0.',
      stats.probeLag,
    ),
    counter(
      'roomcast_backplane_script_reloads_total',
      'Times that Redis did not know a script and the node sent it again, as after a restart of Redis.',
      () => stats.scriptReloads,
    ),
    counter(
      'roomcast_backplane_malformed_envelopes_total',
      'Items from the backplane, live or from history, dropped because they are not an envelope, presence event or control message of this version.',
      () => stats.malformedEnvelopes,
    ),
  ];
}

function batchMetrics(stats: BackplaneStats): SampledMetric[] {
  return [
    histogram(
      'roomcast_backplane_batch_messages',
      'Messages in one group commit to Redis; none with the memory backplane. Includes failed commits.',
      stats.batchMessages,
    ),
    histogram('roomcast_backplane_batch_rooms', 'Rooms in one group commit to Redis.', stats.batchRooms),
    counter(
      'roomcast_backplane_batch_bytes_total',
      'Bytes of the message frames sent to Redis in group commits, without the commands around them.',
      () => stats.batchBytes,
    ),
    histogram(
      'roomcast_backplane_batch_duration_seconds',
      'Time from sending a group commit to its answer or failure. Excludes the time that its messages waited for the previous commit.',
      stats.batchDuration,
    ),
  ];
}

function presenceMetrics(stats: BackplaneStats): SampledMetric[] {
  return [
    histogram(
      'roomcast_backplane_presence_batch_changes',
      'Presence changes in one call to Redis; none with the memory backplane. Includes failed calls; changes that are sent again count again.',
      stats.presenceBatchChanges,
    ),
    histogram(
      'roomcast_backplane_presence_batch_duration_seconds',
      'Time from sending presence changes to their answer or failure. Excludes the time that they waited for the previous call.',
      stats.presenceBatchDuration,
    ),
    gauge(
      'roomcast_backplane_presence_lease_held',
      "1 while the lease on this node's presence entries is valid, as far as the node knows, else 0. Always 0 with the memory backplane.",
      () => stats.leaseHeld,
    ),
    counter(
      'roomcast_backplane_presence_leases_lost_total',
      'Times that this node lost its lease while it was running: it lapsed and another node claimed it, or Redis lost it. The node then enters its members again. Excludes leases renewed late but in time.',
      () => stats.leasesLost,
    ),
    counter(
      'roomcast_backplane_presence_claims_total',
      'Times that this node claimed the presence entries of a dead node. Excludes claims that another node made first.',
      () => stats.claims,
    ),
    counter(
      'roomcast_backplane_presence_swept_entries_total',
      'Presence entries of dead nodes that this node removed.',
      () => stats.sweptEntries,
    ),
  ];
}
