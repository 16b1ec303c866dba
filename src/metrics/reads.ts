import { counter, counterBy, gauge, type SampledMetric } from './sampled-metric.ts';

/** Reads of the store by clients and the server API: `history`, `members` and the lists of the HTTP API. */
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
      'Reads of history, members, rooms and acks for clients and the HTTP API, by outcome: answered (including with a backplane error), or refused because too many reads of the same reader waited.',
      () => ({ answered: stats.answered, refused: stats.refused }),
    ),
    counter(
      'roomcast_read_bytes_total',
      'Bytes read for them, as charged to the reader: a list is charged more than its size, since it is decoded.',
      () => stats.bytes,
    ),
    gauge(
      'roomcast_reads_in_flight',
      'Reads in progress now: at most 4, or 1 with the memory backplane.',
      () => samples.readsInFlight(),
    ),
    gauge(
      'roomcast_reads_waiting',
      "Reads waiting for a slot, for their reader's budget or for a reader whose socket is full.",
      () => samples.readsWaiting(),
    ),
  ];
}
