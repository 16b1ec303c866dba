/** A connection does not outlive its token. */
import type { Steady } from './steady.ts';
import type { World } from './world.ts';

/** Nodes allow for clocks that differ, look at each heartbeat, and their own clock may just have been set. */
const TOLERATED_MS = 25_000;
/** Who was frozen looks soon after. */
const AWAKE_MS = 2_000;

export function lookForExpired(world: World, steady: Steady): void {
  for (const node of world.running) {
    const { owner, core } = node;
    if (steady.ofNode(node) < AWAKE_MS) continue;
    const dueMs = world.loop.wallMsOf(owner) - TOLERATED_MS;
    for (const { id, identity } of core.node.hub.connections()) {
      const expiresAtMs = identity?.expiresAtMs ?? null;
      if (expiresAtMs !== null && expiresAtMs < dueMs)
        world.violation(`${owner.name} serves ${id} ${TOLERATED_MS} ms after its token expired`);
    }
  }
}
