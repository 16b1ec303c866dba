import { LATENCY_SECONDS } from './buckets.ts';
import { MESSAGE_SOURCES, PUBLISH_OUTCOMES, zeros } from './labels.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, histogram, histogramBy, type SampledMetric } from './sampled-metric.ts';

/** A message's way through this node. */
export class MessageStats {
  readonly accepted = zeros(MESSAGE_SOURCES);
  readonly settled = zeros(PUBLISH_OUTCOMES);
  /** Seconds. */
  readonly publishDuration = new SampledHistogram(LATENCY_SECONDS);
  envelopesReceived = 0;
  relayed = 0;
  delivered = 0;
  /** Seconds. */
  readonly deliveryLatency = {
    local: new SampledHistogram(LATENCY_SECONDS),
    remote: new SampledHistogram(LATENCY_SECONDS),
  };
}

export function messageMetrics(stats: MessageStats): SampledMetric[] {
  return [...acceptedMetrics(stats), ...relayedMetrics(stats)];
}

function acceptedMetrics(stats: MessageStats): SampledMetric[] {
  return [
    counterBy(
      'source',
      'roomcast_messages_accepted_total',
      'Messages that passed every check here and were handed to the backplane. Refused ones are not counted, nor is what other nodes accepted.',
      () => stats.accepted,
    ),
    counterBy(
      'outcome',
      'roomcast_publishes_settled_total',
      'Accepted messages that the backplane answered: ok, duplicate (stored before under the same key) or its error. What still waits is accepted minus settled.',
      () => stats.settled,
    ),
    histogram(
      'roomcast_publish_duration_seconds',
      'Time from accepting a message to its outcome, failures included. The way to the publisher and back is not.',
      stats.publishDuration,
    ),
  ];
}

function relayedMetrics(stats: MessageStats): SampledMetric[] {
  return [
    counter(
      'roomcast_envelopes_received_total',
      'Envelopes that arrived from the backplane, those of this node included. Malformed ones are not counted.',
      () => stats.envelopesReceived,
    ),
    counter(
      'roomcast_messages_relayed_total',
      'Messages in the envelopes received, whether or not a member of their room was still here.',
      () => stats.relayed,
    ),
    counter(
      'roomcast_messages_delivered_total',
      'Messages handed to sockets: at each fan-out its messages times the members reached (a publisher that asked for no echo is left out). What catches up through a cursor is not counted here but as recovered; whether a client read it is not known.',
      () => stats.delivered,
    ),
    histogramBy(
      'origin',
      'roomcast_delivery_latency_seconds',
      'Time from the moment the publishing node sent an envelope to its fan-out here, once an envelope. remote compares the clocks of two machines: their difference is in it, and below zero counts as zero.',
      stats.deliveryLatency,
    ),
  ];
}
