/** Messages arrive soon: nobody who has had no trouble waits for the next message, or for a round of checks, to get what was stored. */
import type { SimulatedClient } from './simulated-client.ts';
import type { Steady } from './steady.ts';
import type { World } from './world.ts';

/** So old are messages that everybody has, who has had no trouble for as long. */
const SOON_MS = 2_500;
/** A slow reader catches up meanwhile. */
const READER_MS = 8_000;

interface Newest {
  epoch: string;
  offset: number;
}

export class LagChecks {
  readonly #world: World;
  readonly #steady: Steady;
  /** How far the acknowledged messages of each client were looked at. */
  readonly #seen = new Map<SimulatedClient, number>();
  readonly #newest = new Map<string, Newest>();
  readonly #told = new Set<string>();

  constructor(world: World, steady: Steady) {
    this.#world = world;
    this.#steady = steady;
  }

  look(): void {
    for (const client of this.#world.clients) this.#note(client);
    const nodes = new Map(
      this.#world.running
        .filter((node) => this.#steady.ofNode(node) > SOON_MS)
        .map(({ core }) => [core.node.nodeId, core]),
    );
    for (const client of this.#world.clients) {
      const { status } = client.client;
      if (status.state !== 'connected' || !nodes.has(status.node)) continue;
      if (this.#steady.ofClient(client) > READER_MS)
        for (const room of client.rooms) this.#check(client, room);
    }
  }

  /** Acknowledged messages that are old enough. */
  #note(client: SimulatedClient): void {
    const dueMs = this.#world.loop.nowMs - SOON_MS;
    let at = this.#seen.get(client) ?? 0;
    for (; at < client.acknowledged.length; at++) {
      const { room, epoch, offset, ackedAtMs } = client.acknowledged[at]!;
      if (ackedAtMs > dueMs) break;
      const known = this.#newest.get(room);
      if (known?.epoch !== epoch || known.offset < offset) this.#newest.set(room, { epoch, offset });
    }
    this.#seen.set(client, at);
  }

  #check(client: SimulatedClient, name: string): void {
    const newest = this.#newest.get(name);
    const room = client.room(name);
    const position = room?.position ?? null;
    if (newest === undefined || position === null || room?.state !== 'joined') return;
    if (position[0] !== newest.epoch || position[1] >= newest.offset) return;
    const key = `${client.owner.name} ${name} ${newest.epoch}:${newest.offset}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#world.violation(
      `late: ${client.owner.name} stands at ${position[1]} in ${name}, and ${newest.offset} was acknowledged ${SOON_MS} ms ago`,
    );
  }
}
