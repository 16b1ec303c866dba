/** Who has had no trouble for how long, as far as the world knows: of them more can be asked than that all is well in the end. */
import type { SimulatedClient } from './simulated-client.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { World } from './world.ts';

const LOOK_EVERY_MS = 250;

export class Steady {
  readonly #world: World;
  readonly #nodes = new Map<SimulatedNode, { readonly links: string; sinceMs: number }>();
  readonly #clients = new Map<SimulatedClient, { readonly link: unknown; sinceMs: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Looks from now on, and calls `looked` each time. */
  watch(looked: () => void): void {
    const { loop } = this.#world;
    const look = () => {
      this.#look();
      looked();
      loop.after(LOOK_EVERY_MS, look, loop.world);
    };
    look();
  }

  /** Milliseconds in which it was ready, and kept its links to a Redis without trouble. */
  ofNode(node: SimulatedNode): number {
    return this.#world.loop.nowMs - (this.#nodes.get(node)?.sinceMs ?? Number.POSITIVE_INFINITY);
  }

  /** Milliseconds in which it kept its connection and read what came. */
  ofClient(client: SimulatedClient): number {
    return this.#world.loop.nowMs - (this.#clients.get(client)?.sinceMs ?? Number.POSITIVE_INFINITY);
  }

  #look(): void {
    const { nowMs } = this.#world.loop;
    for (const node of this.#world.running) {
      const links = this.#linksOf(node);
      const known = this.#nodes.get(node);
      if (links === null) this.#nodes.delete(node);
      else if (known?.links !== links) this.#nodes.set(node, { links, sinceMs: nowMs });
    }
    for (const client of this.#world.clients) {
      const [link] = this.#world.linksOfClient(client);
      const isFine =
        client.isConnected && client.owner.held === null && link?.isCut === false && !link.isPaused;
      const known = this.#clients.get(client);
      if (!isFine) this.#clients.delete(client);
      else if (known?.link !== link) this.#clients.set(client, { link, sinceMs: nowMs });
    }
  }

  /** Which links it has; null where it has trouble. */
  #linksOf(node: SimulatedNode): string | null {
    const world = this.#world;
    // Asked even while Redis has trouble: a node that does not hear a room finds out only after that.
    if (world.deafness.has(node.owner) || world.isStoreTroubled) return null;
    if (node.owner.held !== null || world.cutOff.has(world.nodes.indexOf(node))) return null;
    const links = world.redisLinksOf(node);
    if (links.some(({ isOpen }) => !isOpen) || !node.core.node.status().ready) return null;
    // A Redis without its keys has no members until nodes enter them again, which they do when they renew their leases.
    return `${links.map(({ number }) => number).join(' ')} after ${world.redis.flushes} flushes`;
  }
}
