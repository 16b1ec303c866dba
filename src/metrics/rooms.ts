import { counter, gauge, type SampledMetric } from './sampled-metric.ts';

export interface RoomSamples {
  /** Rooms with at least one member on this node. */
  rooms(): number;
  /** Pairs of a connection on this node and a room that it is in. */
  memberships(): number;
  /** Rooms with members here whose history covers less than 30 s. */
  shortHistories(): number;
  /** Messages that left such a history less than 30 s after they came. */
  trimmedEarly(): number;
  /** Users that the server API keeps out of rooms. */
  keptOut(): number;
}

export function roomMetrics(samples: RoomSamples): SampledMetric[] {
  return [
    gauge(
      'roomcast_rooms',
      'Rooms with a member on this node. Summed over nodes, a room counts once for each node that has members of it.',
      () => samples.rooms(),
    ),
    gauge(
      'roomcast_memberships',
      'Pairs of a connection on this node and a room that it is in. Excludes members on other nodes.',
      () => samples.memberships(),
    ),
    gauge(
      'roomcast_rooms_short_history',
      'Rooms with a member on this node whose history is full and whose oldest message is less than 30 s old: a client that was away for longer finds a gap. Estimated from what this node received.',
      () => samples.shortHistories(),
    ),
    counter(
      'roomcast_history_trimmed_early_messages_total',
      'Messages less than 30 s old that left the history of a room with a member on this node, because of history.messages or history.bytes. Counted from what this node received, so a room counts once for each node that has members of it.',
      () => samples.trimmedEarly(),
    ),
    gauge(
      'roomcast_kept_out',
      'Pairs of a user and a room that the server API keeps apart for a time, as this node knows them: the same on every node. Those that ended count for up to a minute more.',
      () => samples.keptOut(),
    ),
  ];
}
