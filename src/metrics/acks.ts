import { ACK_OUTCOMES, zeros } from './labels.ts';
import { counter, counterBy, type SampledMetric } from './sampled-metric.ts';

/** Acks from users: how far they have processed a room. */
export class AckStats {
  readonly settled = zeros(ACK_OUTCOMES);
  reads = 0;
}

export function ackMetrics(stats: AckStats): SampledMetric[] {
  return [
    counterBy(
      'outcome',
      'roomcast_acks_total',
      'Acks from clients that reached the backplane, by outcome: kept, not_higher (than the stored one), other_epoch, beyond (the newest message) or its error. Excludes refused acks.',
      () => stats.settled,
    ),
    counter(
      'roomcast_ack_reads_total',
      "Joins that read the user's acknowledged position. Joins of anonymous connections and of rooms without acks read nothing.",
      () => stats.reads,
    ),
  ];
}
