import { gauge, type SampledMetric } from './sampled-metric.ts';

export interface RoomSamples {
  /** Rooms with at least one member on this node. */
  rooms(): number;
  /** Pairs of a connection on this node and a room that it is in. */
  memberships(): number;
  /** Rooms with members here whose history covers less than 30 s. */
  shortHistories(): number;
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
      'Rooms with a member on this node whose history is full and whose oldest message is less than 30 s old: a client that was away for longer finds a gap. Counted from what this node received.',
      () => samples.shortHistories(),
    ),
  ];
}
