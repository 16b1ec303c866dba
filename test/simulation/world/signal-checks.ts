/** Signals reach every member that is there and keeps up, where nothing went wrong on the way. */
import type { SimulatedClient } from './simulated-client.ts';
import type { Steady } from './steady.ts';
import type { World } from './world.ts';

const HEARD_MS = 2_500;
const NODE_MS = 4_000;
const CLIENT_MS = 8_000;

/** A signal of somebody without trouble, and who was in the room without trouble. */
interface Expected {
  readonly sender: string;
  readonly room: string;
  readonly number: number;
  readonly atMs: number;
  readonly members: readonly (readonly [client: SimulatedClient, room: unknown])[];
}

export class SignalChecks {
  readonly #world: World;
  readonly #steady: Steady;
  #expected: Expected[] = [];

  constructor(world: World, steady: Steady) {
    this.#world = world;
    this.#steady = steady;
    world.signalled = (sender, room, number) => this.#note(sender, room, number);
  }

  look(): void {
    const dueMs = this.#world.loop.nowMs - HEARD_MS;
    const due = this.#expected.filter(({ atMs }) => atMs < dueMs);
    if (due.length === 0) return;
    this.#expected = this.#expected.filter(({ atMs }) => atMs >= dueMs);
    for (const expected of due) this.#check(expected);
  }

  #note(sender: SimulatedClient, room: string, number: number): void {
    const { clients, loop, settings } = this.#world;
    // A room that takes few publishes refuses some of them.
    if (settings.publishesPerSecond > 0 || !this.#isSteady(sender)) return;
    const members = clients
      .filter(
        (client) => client !== sender && client.room(room)?.state === 'joined' && this.#isSteady(client),
      )
      .map((client) => [client, client.room(room)] as const);
    this.#expected.push({ sender: sender.owner.name, room, number, atMs: loop.nowMs, members });
  }

  #isSteady(client: SimulatedClient): boolean {
    const { status } = client.client;
    if (status.state !== 'connected' || this.#steady.ofClient(client) < CLIENT_MS) return false;
    const node = this.#world.running.find(({ core }) => core.node.nodeId === status.node);
    return node !== undefined && this.#steady.ofNode(node) > NODE_MS;
  }

  #check({ sender, room, number, members }: Expected): void {
    const from = this.#world.clients.find(({ owner }) => owner.name === sender);
    // Who is kept out says nothing.
    if (from === undefined || !this.#isSteady(from) || this.#isKeptOut(from, room)) return;
    for (const [client, handle] of members) {
      if (client.room(room) !== handle || !this.#isSteady(client)) continue;
      if (client.heard.some((heard) => heard.number === number && heard.sender === sender)) continue;
      this.#world.violation(`signal ${number} of ${sender} in ${room} did not reach ${client.owner.name}`);
    }
  }

  #isKeptOut({ user }: SimulatedClient, room: string): boolean {
    const { keptOut, letIn, inDoubt } = this.#world;
    return (
      inDoubt.has(`${room} ${user}`) ||
      [...keptOut, ...letIn].some((kept) => kept.user === user && kept.room === room)
    );
  }
}
