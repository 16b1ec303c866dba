import { counter, counterBy, type SampledMetric } from './sampled-metric.ts';

/** Presence data of members, on its way through this node. */
export class PresenceStats {
  /** `presence` commands that were carried out. */
  set = 0;
  written = 0;
  merged = 0;
  told = 0;
  outrun = 0;
}

export function presenceMetrics(stats: PresenceStats): SampledMetric[] {
  return [
    counter(
      'roomcast_presence_data_set_total',
      'Changes of presence data that members of this node asked for with a presence command.',
      () => stats.set,
    ),
    counterBy(
      'step',
      'roomcast_presence_data_writes_total',
      'What became of them: written to the backplane, or merged into a later one of the same member within 100 ms. Excludes data that is the same as before.',
      () => ({ written: stats.written, merged: stats.merged }),
    ),
    counterBy(
      'step',
      'roomcast_presence_data_pushes_total',
      "Changes of data on any node, as rooms of this node are told them: told, each once however many members hear it, or merged into a later one of the same member, because of the window of 100 ms or the room's budget.",
      () => ({ told: stats.told, merged: stats.outrun }),
    ),
  ];
}
