import { LATENCY_SECONDS } from './buckets.ts';
import { MESSAGE_SOURCES, PUBLISH_OUTCOMES, zeros } from './labels.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, counterBy, histogram, histogramBy, type SampledMetric } from './sampled-metric.ts';

/** Messages on their way through this node. */
export class MessageStats {
  readonly accepted = zeros(MESSAGE_SOURCES);
  /** Signals, of the accepted. */
  readonly signals = zeros(MESSAGE_SOURCES);
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
      'Messages that passed every check on this node and went to the backplane, signals included. Excludes refused messages, and those that other nodes accepted.',
      () => stats.accepted,
    ),
    counterBy(
      'source',
      'roomcast_signals_accepted_total',
      'Signals among the accepted messages: published with ephemeral, so neither stored nor numbered.',
      () => stats.signals,
    ),
    counterBy(
      'outcome',
      'roomcast_publishes_settled_total',
      'Accepted messages that the backplane answered: ok, duplicate (already stored under the same key) or its error. Accepted minus settled messages still wait.',
      () => stats.settled,
    ),
    histogram(
      'roomcast_publish_duration_seconds',
      'Time from accepting a message to its outcome, including failures. Excludes the network between publisher and node.',
      stats.publishDuration,
    ),
  ];
}

function relayedMetrics(stats: MessageStats): SampledMetric[] {
  return [
    counter(
      'roomcast_envelopes_received_total',
      "Envelopes received from the backplane, including this node's own. Excludes malformed ones.",
      () => stats.envelopesReceived,
    ),
    counter(
      'roomcast_messages_relayed_total',
      'Messages and signals in the envelopes received, whether or not their room still had a member on this node.',
      () => stats.relayed,
    ),
    counter(
      'roomcast_messages_delivered_total',
      'Messages and signals handed to sockets: for each fan-out, its messages times the members reached (without a publisher that asked for no echo). Messages sent through a cursor count as recovered instead. Whether a client read them is not known.',
      () => stats.delivered,
    ),
    histogramBy(
      'origin',
      'roomcast_delivery_latency_seconds',
      'Time from the publishing node sending an envelope to its fan-out on this node, once per envelope. remote compares the clocks of two machines, so it includes their difference; negative values count as zero.',
      stats.deliveryLatency,
    ),
  ];
}
