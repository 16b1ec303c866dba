import { BATCH_COUNTS, LATENCY_SECONDS } from './buckets.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, gauge, gaugeBy, histogram, type SampledMetric } from './sampled-metric.ts';

/**
 * What the Redis backplane reports, implementing the interface that `backplane/metrics.ts` asks for. Links are few and
 * named by our own code, so a link shows up in the labels when it first reports.
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
      '1 while the backplane takes publishes and its deliveries arrive here, else 0.',
      () => (samples.backplaneReady() ? 1 : 0),
    ),
    gaugeBy(
      'link',
      'roomcast_backplane_link_up',
      '1 while the link to Redis is connected, else 0. A link can be up and still deaf: see the probe lag. None with the memory backplane.',
      () => stats.linkUp,
    ),
    counterBy(
      'link',
      'roomcast_backplane_reconnects_total',
      'Times that a link to Redis came back after it was lost. The first connection and failed attempts are not counted.',
      () => stats.reconnects,
    ),
    histogram(
      'roomcast_backplane_probe_lag_seconds',
      'Time from publishing a probe to its arrival on the subscribe link. Probes that never arrived are not counted: they end in roomcast_backplane_ready 0.',
      stats.probeLag,
    ),
    counter(
      'roomcast_backplane_script_reloads_total',
      'Times that Redis did not know a script and it was sent again, as after a restart of Redis.',
      () => stats.scriptReloads,
    ),
    counter(
      'roomcast_backplane_malformed_envelopes_total',
      'What arrived from the backplane, live or from history, and was dropped because it is no envelope, presence event or signal of this version.',
      () => stats.malformedEnvelopes,
    ),
  ];
}

function batchMetrics(stats: BackplaneStats): SampledMetric[] {
  return [
    histogram(
      'roomcast_backplane_batch_messages',
      'Messages in one group commit to Redis; none with the memory backplane. Failed commits are counted too.',
      stats.batchMessages,
    ),
    histogram('roomcast_backplane_batch_rooms', 'Rooms in one group commit to Redis.', stats.batchRooms),
    counter(
      'roomcast_backplane_batch_bytes_total',
      'Bytes of the message frames sent to Redis in group commits. What is around them is not counted.',
      () => stats.batchBytes,
    ),
    histogram(
      'roomcast_backplane_batch_duration_seconds',
      'Time from sending a group commit to its answer or failure. What its messages waited for the commit before it is not in it.',
      stats.batchDuration,
    ),
  ];
}

function presenceMetrics(stats: BackplaneStats): SampledMetric[] {
  return [
    histogram(
      'roomcast_backplane_presence_batch_changes',
      'Presence changes in one call to Redis; none with the memory backplane. Failed calls are counted too, and their changes again when they are sent again.',
      stats.presenceBatchChanges,
    ),
    histogram(
      'roomcast_backplane_presence_batch_duration_seconds',
      'Time from sending presence changes to their answer or failure. What they waited for the call before it is not in it.',
      stats.presenceBatchDuration,
    ),
    gauge(
      'roomcast_backplane_presence_lease_held',
      '1 while the lease on the presence entries of this node is valid, as far as the node knows, else 0. Always 0 with the memory backplane.',
      () => stats.leaseHeld,
    ),
    counter(
      'roomcast_backplane_presence_leases_lost_total',
      'Times that the lease of this node lapsed and was claimed by another, or was forgotten by Redis, while the node lived. Its members were then entered again. A lease that was renewed late but in time is not counted.',
      () => stats.leasesLost,
    ),
    counter(
      'roomcast_backplane_presence_claims_total',
      'Times that this node claimed the presence entries of a dead node. Claims that another node was quicker to make are not counted.',
      () => stats.claims,
    ),
    counter(
      'roomcast_backplane_presence_swept_entries_total',
      'Presence entries of dead nodes that this node removed.',
      () => stats.sweptEntries,
    ),
  ];
}
