import { SLOW_READER_POLICIES, zeros } from './labels.ts';
import { counter, counterBy, gauge, type SampledMetric } from './sampled-metric.ts';

/** What was missed, and what was done about it. */
export class RecoveryStats {
  holes = 0;
  holesFilled = 0;
  deafRooms = 0;
  gaps = 0;
  resets = 0;
  recovered = 0;
  historyReads = 0;
  /** By what was done about them. */
  readonly slowReaders = zeros(SLOW_READER_POLICIES);
}

export interface RecoverySamples {
  /** Members that are being fed from a cursor now. */
  catchingUp(): number;
}

export function recoveryMetrics(stats: RecoveryStats, samples: RecoverySamples): SampledMetric[] {
  return [
    counter(
      'roomcast_holes_total',
      'Envelopes that did not follow on what this node had of their room. Each starts a read of what is missing; those that come during it are not counted again.',
      () => stats.holes,
    ),
    counter(
      'roomcast_holes_filled_messages_total',
      'Messages that this node had missed and read from history for all of its members in a room.',
      () => stats.holesFilled,
    ),
    counter(
      'roomcast_deaf_rooms_total',
      'Rooms that did not get what was published in them although the link was sound, and were subscribed anew.',
      () => stats.deafRooms,
    ),
    counter(
      'roomcast_gaps_total',
      'Gaps told to members: messages that existed and could no longer be had. One for a whole room on this node, or for one member that was catching up.',
      () => stats.gaps,
    ),
    counter(
      'roomcast_resets_total',
      'Resets told to members because the numbering of a room began anew. Counted as gaps are.',
      () => stats.resets,
    ),
    counter(
      'roomcast_recovered_messages_total',
      'Messages fed to members that were catching up, one for each member. They are not counted as delivered.',
      () => stats.recovered,
    ),
    counter(
      'roomcast_history_reads_total',
      'Reads of the backplane’s history on behalf of members that were catching up. What the node remembered itself cost none.',
      () => stats.historyReads,
    ),
    counterBy(
      'policy',
      'roomcast_slow_readers_total',
      'Times that a member read too slowly for what its socket may hold, by what was done, once for each of its rooms.',
      () => stats.slowReaders,
    ),
    gauge(
      'roomcast_catching_up_members',
      'Members that are being fed from a cursor and are not on their room’s topic.',
      () => samples.catchingUp(),
    ),
  ];
}
