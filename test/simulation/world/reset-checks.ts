/** A move of slots and a planned failover cost no reset: only rooms that may have lost messages are told of one. */
import { NAMES, type World } from './world.ts';

export function checkResets(world: World): void {
  const { cluster } = world;
  if (cluster === null) return;
  for (const { log } of world.clients.flatMap(({ stays }) => stays)) {
    const resets = log.count('reset');
    if (resets > 0 && !cluster.mayReset(NAMES.meta(log.room)))
      world.violation(
        `reset: ${log.name} was told ${resets} times that ${log.room} begins anew, and nothing was lost`,
      );
  }
}
