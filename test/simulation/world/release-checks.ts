/**
 * A node that stops in good order gives up its lease. Otherwise the others take it for dead a while later, and remove what it left.
 * Asked of one Redis alone, and only where the node had no trouble with it right before: an answer that was lost, or a replica that
 * lacks the newest renewal, leaves a lease that the node does not know.
 */
import { leases } from './lease-checks.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { NAMES, type World } from './world.ts';

/** Several renewals. */
const QUIET_MS = 3_000;
/** What a node says that could not. */
const GAVE_UP = 'cannot release the presence lease: it will lapse';

interface Quiet {
  readonly links: string;
  readonly sinceMs: number;
}

export class ReleaseChecks {
  readonly #world: World;
  readonly #quiet = new Map<SimulatedNode, Quiet>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Called several times a second. */
  look(): void {
    for (const node of this.#world.nodes) if (node !== null) this.#note(node);
  }

  /** Called at the moment at which it has stopped. */
  stopped(node: SimulatedNode): void {
    this.#note(node);
    const { nowMs } = this.#world.loop;
    const { sinceMs } = this.#quiet.get(node)!;
    this.#quiet.delete(node);
    if (this.#world.cluster !== null || nowMs - sinceMs < QUIET_MS || node.warnings.has(GAVE_UP)) return;
    const { nodeId } = node.core.node;
    // A call that was never answered may still enter somebody: so the others sweep it.
    if (isKept(this.#world, NAMES.nodeRooms(nodeId))) return;
    const record = leases(this.#world).find(([id]) => id === nodeId)?.[1];
    // One that was claimed before is removed by its claimer.
    if (record?.endsWith(':'))
      this.#world.violation(`${node.owner.name} stopped and left its lease ${record}`);
  }

  #note(node: SimulatedNode): void {
    const { loop, redis, connects } = this.#world;
    const links = `${connects.get(node.owner)} to run ${redis.runs}, flushed ${redis.flushes} times`;
    if (this.#quiet.get(node)?.links !== links || this.#isTroubled(node))
      this.#quiet.set(node, { links, sinceMs: loop.nowMs });
  }

  #isTroubled({ owner }: SimulatedNode): boolean {
    const { isRedisDown, redisOwner, redis, cutOff, nodes } = this.#world;
    const isAway = isRedisDown || redisOwner.held !== null || owner.held !== null;
    const place = nodes.findIndex((node) => node?.owner === owner);
    return isAway || redis.isFull || redis.refusal !== null || cutOff.has(place);
  }
}

function isKept(world: World, key: string): boolean {
  const found = world.keysWith(key);
  return found?.keys.entry(key, found.nowMs) !== undefined;
}
