import { BATCH_COUNTS, LATENCY_SECONDS } from './buckets.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import {
  counter,
  counterBy,
  gauge,
  gaugeBy,
  histogram,
  type MetricType,
  type Reading,
  SampledMetric,
} from './sampled-metric.ts';

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
  /** By link and shard. */
  readonly #links = new Map<string, { link: string; shard: string; up: number; reconnects: number }>();
  readonly shards = new Map<string, ShardStats>();
  slotMapReads = 0;
  partitionMoves = 0;
  readonly promotions = { planned: 0, unplanned: 0 };
  heldBatches = 0;
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
  publishBatch(messages: number, rooms: number, bytes: number, durationMs: number, shard?: string): void {
    this.batchMessages.observe(messages);
    this.batchRooms.observe(rooms);
    this.batchDuration.observe(durationMs / 1000);
    this.batchBytes += bytes;
    const stats = shard === undefined ? undefined : this.shards.get(shard);
    if (stats === undefined) return;
    stats.commits++;
    stats.messages += messages;
  }

  linkState(link: string, up: boolean, shard = ''): void {
    this.#link(link, shard).up = up ? 1 : 0;
  }

  reconnected(link: string, shard = ''): void {
    this.#link(link, shard).reconnects++;
  }

  probe(lagMs: number, shard?: string): void {
    this.probeLag.observe(lagMs / 1000);
    const stats = shard === undefined ? undefined : this.shards.get(shard);
    if (stats !== undefined) stats.probeLag = lagMs / 1000;
  }

  shardState(shard: string, isReady: boolean, partitions: number): void {
    Object.assign(this.#shard(shard), { ready: isReady ? 1 : 0, partitions });
  }

  /** Its series end: an alert on a server that is gone would stay. */
  shardGone(shard: string): void {
    this.shards.delete(shard);
    for (const [key, link] of this.#links) if (link.shard === shard) this.#links.delete(key);
  }

  slotMapRead(): void {
    this.slotMapReads++;
  }

  partitionsMoved(count: number): void {
    this.partitionMoves += count;
  }

  promotion(kind: 'planned' | 'unplanned'): void {
    this.promotions[kind]++;
  }

  batchesHeld(count: number): void {
    this.heldBatches += count;
  }

  links(value: 'up' | 'reconnects'): Reading[] {
    return [...this.#links.values()].map(({ link, shard, ...values }) => ({
      labels: shard === '' ? { link } : { link, shard },
      value: values[value],
    }));
  }

  #link(link: string, shard: string) {
    const key = `${link} ${shard}`;
    let found = this.#links.get(key);
    if (found === undefined) {
      found = { link, shard, up: 0, reconnects: 0 };
      this.#links.set(key, found);
    }
    return found;
  }

  #shard(shard: string): ShardStats {
    let stats = this.shards.get(shard);
    if (stats === undefined) {
      stats = { ready: 0, partitions: 0, commits: 0, messages: 0, probeLag: 0 };
      this.shards.set(shard, stats);
    }
    return stats;
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

/** What a node reports of one server of a cluster. */
interface ShardStats {
  ready: number;
  partitions: number;
  commits: number;
  messages: number;
  /** Of the newest probe, in seconds. */
  probeLag: number;
}

export interface BackplaneSamples {
  backplaneReady(): boolean;
}

export function backplaneMetrics(stats: BackplaneStats, samples: BackplaneSamples): SampledMetric[] {
  return [
    ...linkMetrics(stats, samples),
    ...shardMetrics(stats),
    ...batchMetrics(stats),
    ...presenceMetrics(stats),
  ];
}

function linkMetrics(stats: BackplaneStats, samples: BackplaneSamples): SampledMetric[] {
  return [
    gauge(
      'roomcast_backplane_ready',
      '1 while the backplane accepts publishes and its deliveries arrive here, else 0.',
      () => (samples.backplaneReady() ? 1 : 0),
    ),
    ofLinks(
      'gauge',
      'roomcast_backplane_link_up',
      '1 while the link to Redis is connected, else 0. A connected link can still deliver nothing: see the probe lag. Absent with the memory backplane. `shard`, only with a Redis Cluster: host and port of the server.',
      () => stats.links('up'),
    ),
    ofLinks(
      'counter',
      'roomcast_backplane_reconnects_total',
      'Times that a lost link to Redis reconnected. Excludes the first connection and failed attempts.',
      () => stats.links('reconnects'),
    ),
    histogram(
      'roomcast_backplane_probe_lag_seconds',
      'Time from publishing a probe to its arrival on the subscribe link. Excludes probes that never arrived: those set roomcast_backplane_ready to 0.',
      stats.probeLag,
    ),
    counterBy(
      'kind',
      'roomcast_backplane_promotions_total',
      'Times that this node found another Redis in the place of a primary or master that it used. `planned`: the former one proved that nothing was lost. `unplanned`: writes may be lost, and each room of it got a new epoch.',
      () => ({ ...stats.promotions }),
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

function ofLinks(type: MetricType, name: string, help: string, read: () => Reading[]): SampledMetric {
  return new SampledMetric({ type, name, help, labelNames: ['link', 'shard'], read });
}

/** Only with a Redis Cluster. */
function shardMetrics(stats: BackplaneStats): SampledMetric[] {
  const of = (value: keyof ShardStats) => () =>
    Object.fromEntries([...stats.shards].map(([shard, numbers]) => [shard, numbers[value]]));
  return [
    gaugeBy(
      'shard',
      'roomcast_backplane_shard_ready',
      '1 while this node can rely on this master of a Redis Cluster, else 0: its links are up, it takes writes, what is published there arrives, and it does not say that the cluster is down. Absent without a cluster, like all metrics with a shard.',
      of('ready'),
    ),
    gaugeBy(
      'shard',
      'roomcast_backplane_shard_partitions',
      'Partitions that this master has, as this node last read it.',
      of('partitions'),
    ),
    gaugeBy(
      'shard',
      'roomcast_backplane_shard_probe_lag_seconds',
      'Lag of the newest probe through this master; 0 before the first.',
      of('probeLag'),
    ),
    counterBy(
      'shard',
      'roomcast_backplane_shard_commits_total',
      'Group commits to this master. Includes failed ones.',
      of('commits'),
    ),
    counterBy(
      'shard',
      'roomcast_backplane_shard_messages_total',
      'Messages in group commits to this master. Includes failed ones.',
      of('messages'),
    ),
    counter(
      'roomcast_backplane_slot_map_reads_total',
      'Answers of masters of a Redis Cluster about who has which slots.',
      () => stats.slotMapReads,
    ),
    counter(
      'roomcast_backplane_partition_moves_total',
      'Partitions that moved from one master of a Redis Cluster to another, as this node saw it: slots that were moved, and failovers.',
      () => stats.partitionMoves,
    ),
    counter(
      'roomcast_backplane_held_batches_total',
      'Batches of messages that a master of a Redis Cluster did not run, because their slot moved or its master changed, and that were held to be sent again. Excludes those that failed at once because a master was away.',
      () => stats.heldBatches,
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
