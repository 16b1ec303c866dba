/**
 * Nobody is taken for dead who is not: a lease is claimed only when its record stood still for as long as it says. And no node gives
 * up a lease that it has: it takes another only when somebody claimed it, or Redis may have lost entries. What a wrong claim or a needless
 * lease does is undone soon, when its node enters everybody again, so the end of a run would not show it.
 */
import { NAMES, type World } from './world.ts';

const LOOK_EVERY_MS = 100;
/** A record may have changed just before or just after a look. */
const UNSURE_MS = 2 * LOOK_EVERY_MS;

/** Who looks less often than this has not watched. */
const UNWATCHED_MS = 2_500;
/** So long after the last trouble with Redis all nodes know what it lacks: each looks at the records of lineages by turns. */
const SETTLED_MS = 30_000;

interface Seen {
  readonly term: number;
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
  const trouble = new StoreTrouble(world);
  let outageMs = 0;
  let lookedAtMs = 0;
  const look = () => {
    const isAway = world.cluster?.isTroubled ?? (world.isRedisDown || world.redisOwner.held !== null);
    const { nowMs } = world.loop;
    trouble.look();
    // After a long outage everybody is watched anew: nobody could renew. In a cluster other servers may have been away.
    if (world.cluster === null && !isAway && outageMs > UNWATCHED_MS)
      for (const [node, seen] of known) known.set(node, { ...seen, sinceMs: nowMs });
    outageMs = isAway ? outageMs + LOOK_EVERY_MS : 0;
    // While servers of a cluster come and go, several of them have one.
    if (world.cluster === null || !isAway) {
      // What changed while nobody looked may have stood since then.
      const changedMs = nowMs - lookedAtMs > UNSURE_MS ? lookedAtMs : nowMs;
      for (const [node, record] of leases(world))
        judge({ world, known, changedMs, isSettled: trouble.isSettled }, node, record);
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

/** When Redis last had trouble or may have lost entries. In a cluster nodes may find out at any time later. */
class StoreTrouble {
  readonly #world: World;
  #state = '';
  #untilMs = Number.NEGATIVE_INFINITY;
  #wasClusterTroubled = false;

  constructor(world: World) {
    this.#world = world;
  }

  look(): void {
    const { redis, cluster, loop } = this.#world;
    const state = `run ${redis.runs}, flushed ${redis.flushes} times`;
    const isOther = this.#state !== '' && state !== this.#state;
    if (isOther || this.#world.isStoreTroubled) this.#untilMs = loop.nowMs;
    this.#state = state;
    this.#wasClusterTroubled ||= cluster?.isTroubled === true;
  }

  get isSettled(): boolean {
    return !this.#wasClusterTroubled && this.#world.loop.nowMs - this.#untilMs > SETTLED_MS;
  }
}

interface Look {
  readonly world: World;
  readonly known: Map<string, Seen>;
  /** When what is new since the last look may have begun. */
  readonly changedMs: number;
  /** No node has a reason to think that Redis lost something. */
  readonly isSettled: boolean;
}

/** `record`: `<term>:<beat>:<ms>:<claimer>`. A node that stops claims its own lease. */
function judge({ world, known, changedMs, isSettled }: Look, node: string, record: string): void {
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
  if (isSettled && seen !== undefined && !seen.isClaimed && Number(term) > seen.term) {
    const stoodMs = nowMs - seen.sinceMs;
    // Else somebody may have claimed it between two looks.
    if (stoodMs < seen.leaseMs - UNSURE_MS)
      world.violation(
        `${node} took another lease ${Math.round(stoodMs)} ms after it renewed the one that it had`,
      );
  }
  known.set(node, {
    term: Number(term),
    beat: now,
    leaseMs: Number(leaseMs),
    sinceMs,
    isClaimed: false,
    claimedTerm: seen?.claimedTerm ?? 0,
    firstMs: firstMs.set(now, sinceMs),
  });
}
