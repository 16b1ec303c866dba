import { gauge, type SampledMetric } from './sampled-metric.ts';

export interface RoomSamples {
  /** Rooms with at least one member on this node. */
  rooms(): number;
  /** Pairs of a connection on this node and a room that it is in. */
  memberships(): number;
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
      'Pairs of a connection on this node and a room that it is in. Members on other nodes are not counted.',
      () => samples.memberships(),
    ),
  ];
}
