/** Messages arrive soon: nobody who has had no trouble waits for the next message, or for a round of checks, to get what was stored. */
import type { Acknowledged } from '../../support/returning-client.ts';
import type { SimulatedClient } from './simulated-client.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { Steady } from './steady.ts';
import { NAMES, ROOMS, type World } from './world.ts';

/** So old are messages that everybody has, who has had no trouble for as long. */
const SOON_MS = 2_500;
/** A slow reader catches up meanwhile. */
const READER_MS = 8_000;

/** Whoever was refused tries again within this. */
const JOINED_MS = 15_000;

interface Newest {
  readonly epoch: string;
  readonly offset: number;
  readonly ackedAtMs: number;
  /** Numberings that ended before. */
  readonly ended: ReadonlySet<string>;
}

export class LagChecks {
  readonly #world: World;
  readonly #steady: Steady;
  /** How far the acknowledged messages of each client were looked at. */
  readonly #seen = new Map<SimulatedClient, number>();
  readonly #newest = new Map<string, Newest>();
  readonly #told = new Set<string>();
  /** Since when somebody has been about to join, by client and room. */
  readonly #joining = new Map<string, number>();

  constructor(world: World, steady: Steady) {
    this.#world = world;
    this.#steady = steady;
  }

  look(): void {
    for (const client of this.#world.clients) this.#note(client);
    const nodes = new Map(
      this.#world.running
        .filter((node) => this.#steady.ofNode(node) > SOON_MS)
        .map((node) => [node.core.node.nodeId, node]),
    );
    for (const client of this.#world.clients) {
      const { status } = client.client;
      const node = status.state === 'connected' ? nodes.get(status.node) : undefined;
      if (node === undefined || this.#steady.ofClient(client) <= READER_MS) continue;
      for (const room of client.rooms) if (!this.#isAway(node, room)) this.#check(client, node, room);
    }
    this.#lookAtJoins();
  }

  #lookAtJoins(): void {
    const isSteady = (node: SimulatedNode) => this.#steady.ofNode(node) > JOINED_MS;
    const nodes = new Set(this.#world.running.filter(isSteady).map(({ core }) => core.node.nodeId));
    for (const client of this.#world.clients) {
      const { status } = client.client;
      const isFine =
        status.state === 'connected' && nodes.has(status.node) && this.#steady.ofClient(client) > READER_MS;
      if (isFine) for (const room of client.rooms) this.#checkJoined(client, room);
      else
        for (const room of ROOMS) this.#joining.delete(`${client.owner.name} ${room} ${client.connection}`);
    }
  }

  /** Acknowledged messages that are old enough. */
  #note(client: SimulatedClient): void {
    const dueMs = this.#world.loop.nowMs - SOON_MS;
    let at = this.#seen.get(client) ?? 0;
    for (; at < client.acknowledged.length; at++) {
      const acknowledged = client.acknowledged[at]!;
      if (acknowledged.ackedAtMs > dueMs) break;
      this.#acknowledged(acknowledged);
    }
    this.#seen.set(client, at);
  }

  /** An answer may be about a message of a numbering that has ended: only what was sent since tells of a new one. */
  #acknowledged({ room, epoch, offset, sentAtMs, ackedAtMs }: Acknowledged): void {
    const known = this.#newest.get(room);
    if (known?.epoch === epoch)
      this.#newest.set(room, { ...known, offset: Math.max(known.offset, offset), ackedAtMs });
    else if (known === undefined || (!known.ended.has(epoch) && sentAtMs > known.ackedAtMs)) {
      const ended = new Set(known === undefined ? [] : [...known.ended, known.epoch]);
      this.#newest.set(room, { epoch, offset, ackedAtMs, ended });
    }
  }

  /**
   * Whether a node cannot reach the server of a room, and says so: it stays ready for the rooms of the others, and members of this
   * one wait until it is back.
   */
  #isAway(node: SimulatedNode, room: string): boolean {
    const { cluster, nodes } = this.#world;
    if (!cluster?.isCutOff(nodes.indexOf(node), NAMES.meta(room))) return false;
    return (node.core.node.status().degraded ?? []).length > 0;
  }

  /** Frames wait until the library knows which of them are its own: it may be publishing them again since the last trouble. */
  #awaitsOwn(client: SimulatedClient, node: SimulatedNode, room: string): boolean {
    const steadyMs = Math.min(this.#steady.ofNode(node), this.#steady.ofClient(client));
    return steadyMs <= JOINED_MS && client.waitsForOwn(room);
  }

  /** Nobody is about to join for long. */
  #checkJoined(client: SimulatedClient, name: string): void {
    const key = `${client.owner.name} ${name} ${client.connection}`;
    const state = client.room(name)?.state ?? 'joined';
    if (state === 'joined') {
      this.#joining.delete(key);
      return;
    }
    const { nowMs } = this.#world.loop;
    const sinceMs = this.#joining.get(key) ?? nowMs;
    this.#joining.set(key, sinceMs);
    if (nowMs - sinceMs < JOINED_MS || this.#told.has(key)) return;
    this.#told.add(key);
    this.#world.violation(`late: ${client.owner.name} has been ${state} in ${name} for ${JOINED_MS} ms`);
  }

  #check(client: SimulatedClient, node: SimulatedNode, name: string): void {
    const newest = this.#newest.get(name);
    const room = client.room(name);
    const position = room?.position ?? null;
    if (newest === undefined || position === null || room?.state !== 'joined') return;
    if (position[0] === newest.epoch ? position[1] >= newest.offset : !newest.ended.has(position[0])) return;
    if (this.#awaitsOwn(client, node, name)) return;
    const key = `${client.owner.name} ${name} ${newest.epoch}:${newest.offset}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#world.violation(
      `late: ${client.owner.name} stands at ${position.join(':')} in ${name}, and ${newest.epoch}:${newest.offset} was acknowledged ${SOON_MS} ms ago`,
    );
  }
}
