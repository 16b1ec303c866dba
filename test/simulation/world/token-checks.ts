/** A connection does not outlive its token. */
import type { World } from './world.ts';

/** Nodes allow for clocks that differ, and look only now and then. */
const TOLERATED_MS = 30_000;

export function lookForExpired(world: World): void {
  for (const { owner, core } of world.running) {
    if (owner.held !== null) continue;
    const dueMs = world.loop.wallMsOf(owner) - TOLERATED_MS;
    for (const { id, identity } of core.node.hub.connections()) {
      const expiresAtMs = identity?.expiresAtMs ?? null;
      if (expiresAtMs !== null && expiresAtMs < dueMs)
        world.violation(`${owner.name} serves ${id} ${TOLERATED_MS} ms after its token expired`);
    }
  }
}
