import type { World } from './world.ts';

/** As far as tokens are fetched ahead of their end. */
const CLOCK_ERROR_MS = 5_000;

/** Nothing goes wrong meanwhile: everybody keeps the connection that they have, beyond the life of their token. */
export function checkStays(world: World, meanwhile: () => void): void {
  const before = world.clients.map(({ manners }) => manners.losses);
  meanwhile();
  // By the clock of a node that is ahead, tokens expire before anyone expects it.
  if (world.running.some(({ owner }) => Math.abs(owner.wallAheadMs) > CLOCK_ERROR_MS)) return;
  for (const [i, { owner, manners }] of world.clients.entries()) {
    if (manners.losses > before[i]!) world.violation(`${owner.name} lost its connection in the calm`);
  }
}
