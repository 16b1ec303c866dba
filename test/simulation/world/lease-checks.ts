/**
 * Nobody is taken for dead who is not: a lease is claimed only when its record stood still for as long as it says. What a wrong claim
 * does is undone soon, when its node enters everybody again, so the end of a run would not show it.
 */
import { NAMES, type World } from './world.ts';

const LOOK_EVERY_MS = 100;
/** A record may have changed just before or just after a look. */
const UNSURE_MS = 2 * LOOK_EVERY_MS;

/** Who looks less often than this has not watched. */
const UNWATCHED_MS = 2_500;

interface Seen {
  readonly beat: string;
  readonly leaseMs: number;
  readonly sinceMs: number;
  isClaimed: boolean;
  /** The newest term that was claimed: a failover brings the claim back after the node took another term. */
  claimedTerm: number;
  /** When each of its records was seen first: a failover brings an earlier one back. */
  readonly firstMs: Map<string, number>;
}

/** Looks at the leases from now on, until the world ends. */
export function watchLeases(world: World): void {
  const known = new Map<string, Seen>();
  let outageMs = 0;
  let lookedAtMs = 0;
  const look = () => {
    const isAway = world.cluster?.isTroubled ?? (world.isRedisDown || world.redisOwner.held !== null);
    const { nowMs } = world.loop;
    // After a long outage everybody is watched anew: nobody could renew. In a cluster other servers may have been away.
    if (world.cluster === null && !isAway && outageMs > UNWATCHED_MS)
      for (const [node, seen] of known) known.set(node, { ...seen, sinceMs: nowMs });
    outageMs = isAway ? outageMs + LOOK_EVERY_MS : 0;
    // While servers of a cluster come and go, several of them have one.
    if (world.cluster === null || !isAway) {
      // What changed while nobody looked may have stood since then.
      const changedMs = nowMs - lookedAtMs > UNSURE_MS ? lookedAtMs : nowMs;
      for (const [node, record] of leases(world)) judge(world, known, node, record, changedMs);
      lookedAtMs = nowMs;
    }
    world.loop.after(LOOK_EVERY_MS, look, world.loop.world);
  };
  look();
}

/** By id of the node. */
export function leases(world: World): [node: string, record: string][] {
  const key = NAMES.leases();
  const found = world.keysWith(key);
  const fields = found?.keys.hash(key, found.nowMs)?.fields ?? new Map<string, never>();
  return [...fields].map(([node, { value }]) => [node, value]);
}

/** `record`: `<term>:<beat>:<ms>:<claimer>`. A node that stops claims its own lease. */
function judge(
  world: World,
  known: Map<string, Seen>,
  node: string,
  record: string,
  changedMs: number,
): void {
  const [term, beat, leaseMs, claimer = ''] = record.split(':');
  const { nowMs } = world.loop;
  const seen = known.get(node);
  if (claimer !== '') {
    if (seen === undefined) return;
    const stoodMs = nowMs - seen.sinceMs;
    const isNew = !seen.isClaimed && Number(term) > seen.claimedTerm;
    if (isNew && claimer !== node && stoodMs < seen.leaseMs - UNSURE_MS)
      world.violation(`the lease of ${node} was claimed ${Math.round(stoodMs)} ms after it was renewed`);
    seen.isClaimed = true;
    seen.claimedTerm = Math.max(seen.claimedTerm, Number(term));
    return;
  }
  const now = `${term}:${beat}`;
  if (seen?.beat === now && !seen.isClaimed) return;
  const firstMs = seen?.firstMs ?? new Map<string, number>();
  const sinceMs = firstMs.get(now) ?? changedMs;
  known.set(node, {
    beat: now,
    leaseMs: Number(leaseMs),
    sinceMs,
    isClaimed: false,
    claimedTerm: seen?.claimedTerm ?? 0,
    firstMs: firstMs.set(now, sinceMs),
  });
}
