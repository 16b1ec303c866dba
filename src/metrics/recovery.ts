import { SLOW_READER_POLICIES, zeros } from './labels.ts';
import { counter, counterBy, gauge, type SampledMetric } from './sampled-metric.ts';

/** What was missed, and how it was recovered. */
export class RecoveryStats {
  holes = 0;
  holesFilled = 0;
  deafRooms = 0;
  gaps = 0;
  resets = 0;
  recovered = 0;
  replaced = 0;
  historyReads = 0;
  /** By the policy applied. */
  readonly slowReaders = zeros(SLOW_READER_POLICIES);
}

export interface RecoverySamples {
  /** Members that a cursor feeds now. */
  catchingUp(): number;
}

export function recoveryMetrics(stats: RecoveryStats, samples: RecoverySamples): SampledMetric[] {
  return [
    counter(
      'roomcast_holes_total',
      'Envelopes that did not follow the last message that this node had of their room. Each starts a read of the missing part; further ones during that read do not count.',
      () => stats.holes,
    ),
    counter(
      'roomcast_holes_filled_messages_total',
      'Messages that this node missed and read from history for all of its members in a room.',
      () => stats.holesFilled,
    ),
    counter(
      'roomcast_deaf_rooms_total',
      'Rooms that missed published messages although the link worked, and were subscribed again.',
      () => stats.deafRooms,
    ),
    counter(
      'roomcast_gaps_total',
      'Gaps reported to members: messages that existed but are no longer stored. Counts one for a whole room on this node, or one for a member that was catching up.',
      () => stats.gaps,
    ),
    counter(
      'roomcast_resets_total',
      'Resets reported to members because the numbering of a room started over. Counted like gaps.',
      () => stats.resets,
    ),
    counter(
      'roomcast_recovered_messages_total',
      'Messages sent to members that were catching up, once per member. They do not count as delivered.',
      () => stats.recovered,
    ),
    counter(
      'roomcast_replaced_messages_total',
      'Messages left out for members that were catching up, once per member, because newer ones with the same sender and conflateKey took their place. Rooms without history do not count them.',
      () => stats.replaced,
    ),
    counter(
      'roomcast_history_reads_total',
      'Reads of the backplane’s history for members that were catching up. Messages that the node still had in memory need no read.',
      () => stats.historyReads,
    ),
    counterBy(
      'policy',
      'roomcast_slow_readers_total',
      'Times that a member read so slowly that its socket was full, by policy applied, once for each of its rooms.',
      () => stats.slowReaders,
    ),
    gauge(
      'roomcast_catching_up_members',
      'Members that a cursor feeds now, instead of their room’s topic.',
      () => samples.catchingUp(),
    ),
  ];
}
