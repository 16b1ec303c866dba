import { ACK_OUTCOMES, zeros } from './labels.ts';
import { counter, counterBy, type SampledMetric } from './sampled-metric.ts';

/** What users say that they have processed. */
export class AckStats {
  readonly settled = zeros(ACK_OUTCOMES);
  reads = 0;
}

export function ackMetrics(stats: AckStats): SampledMetric[] {
  return [
    counterBy(
      'outcome',
      'roomcast_acks_total',
      'Acks of clients that reached the backplane, by what came of them: kept, not_higher (than what was kept), other_epoch, beyond (the newest message) or its error. Refused ones are not counted.',
      () => stats.settled,
    ),
    counter(
      'roomcast_ack_reads_total',
      'Joins of users that read what the user had acknowledged. Joins of others, and in rooms without acks, read nothing.',
      () => stats.reads,
    ),
  ];
}
