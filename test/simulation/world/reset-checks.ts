/** A move of slots and a planned failover cost no reset: only rooms that were cleared, or may have lost messages, are told of one. */
import type { MemberLog } from '../../support/member-log.ts';
import type { Clears } from './clears.ts';
import type { World } from './world.ts';

export function checkResets(world: World): void {
  const { cluster, clears } = world;
  if (cluster === null) return;
  for (const { log } of world.clients.flatMap(({ stays }) => stays)) {
    if (world.mayRenumber(log.room) || clears.mayReset(log.room)) continue;
    const unexplained = unexplainedResets(log, clears);
    if (unexplained.length > 0)
      world.violation(
        `reset: ${log.name} was told that ${log.room} begins anew as ${unexplained.join(', ')}, and nothing was lost`,
      );
  }
}

/** Their epochs. A member is told once of each that a clear began. */
export function unexplainedResets(log: MemberLog, clears: Clears): string[] {
  const told = new Set<string>();
  return log.marks.flatMap(({ event }) => {
    if (event.kind !== 'reset') return [];
    const isExplained = clears.began(log.room, event.epoch) && !told.has(event.epoch);
    told.add(event.epoch);
    return isExplained ? [] : [event.epoch];
  });
}
