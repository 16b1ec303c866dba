import { counter, counterBy, gauge, type SampledMetric } from './sampled-metric.ts';

/** What clients and the server API read of the store: `history`, `members` and the lists of the HTTP API. */
export class ReadStats {
  answered = 0;
  refused = 0;
  bytes = 0;
}

export interface ReadSamples {
  readsInFlight(): number;
  readsWaiting(): number;
}

export function readMetrics(stats: ReadStats, samples: ReadSamples): SampledMetric[] {
  return [
    counterBy(
      'outcome',
      'roomcast_reads_total',
      'Reads of history, members, rooms and acks for clients and the HTTP API, by outcome: answered (also with an error of the backplane), or refused because too many of the same reader waited.',
      () => ({ answered: stats.answered, refused: stats.refused }),
    ),
    counter(
      'roomcast_read_bytes_total',
      'Bytes read for those, as they are charged to the reader: a list counts more than its size, since it is decoded.',
      () => stats.bytes,
    ),
    gauge(
      'roomcast_reads_in_flight',
      'Those reads that are under way now: at most 4, and 1 with the memory backplane.',
      () => samples.readsInFlight(),
    ),
    gauge(
      'roomcast_reads_waiting',
      'Those reads that wait for their turn, for the budget of their reader or for a reader that does not read.',
      () => samples.readsWaiting(),
    ),
  ];
}
