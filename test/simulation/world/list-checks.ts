/** Lists of members are true soon: not only after the calm, when whatever was missed has been read again. */
import type { SimulatedClient } from './simulated-client.ts';
import type { Steady } from './steady.ts';
import { ROOMS, type World } from './world.ts';

/** What was so for so long, everybody knows. */
const KNOWN_MS = 5_000;
/** After trouble nodes enter their members again, and read those of others. */
const NODE_MS = 12_000;
const CLIENT_MS = 6_000;

interface Fact {
  /** Another one after it left and joined again, however soon. */
  readonly room: unknown;
  /** And after it said something else and then the same again. */
  readonly changes: number;
  readonly what: string;
  readonly sinceMs: number;
}

/** It is not there. */
const OUT = 'out';

export class ListChecks {
  readonly #world: World;
  readonly #steady: Steady;
  readonly #facts = new Map<SimulatedClient, Map<string, Fact>>();
  readonly #told = new Set<string>();

  constructor(world: World, steady: Steady) {
    this.#world = world;
    this.#steady = steady;
  }

  look(): void {
    const steady = this.#steadyClients();
    for (const client of this.#world.clients) if (!steady.includes(client)) this.#facts.delete(client);
    const atNodes = this.#atNodes();
    for (const client of steady) this.#note(client, atNodes);
    for (const room of ROOMS) {
      const known = steady
        .map((client) => [client, this.#known(client, room)] as const)
        .filter(([, fact]) => fact !== null);
      for (const [observer, fact] of known) if (fact !== OUT) this.#check(observer, room, known);
    }
  }

  #steadyClients(): SimulatedClient[] {
    const { running, clients, loop, flushedAtMs } = this.#world;
    // All members are entered again.
    if (loop.nowMs - flushedAtMs < NODE_MS) return [];
    const nodes = new Set(
      running.filter((node) => this.#steady.ofNode(node) > NODE_MS).map(({ core }) => core.node.nodeId),
    );
    if (nodes.size === 0) return [];
    return clients.filter(({ client: { status } }) => status.state === 'connected' && nodes.has(status.node));
  }

  /** The rooms of all connections, as their nodes have them. */
  #atNodes(): Map<string, readonly string[]> {
    const connections = this.#world.running.flatMap(({ core }) => [...core.node.hub.connections()]);
    return new Map(connections.map(({ id, rooms }) => [id, rooms]));
  }

  #note(client: SimulatedClient, atNodes: ReadonlyMap<string, readonly string[]>): void {
    const { nowMs } = this.#world.loop;
    const facts = this.#facts.get(client) ?? new Map<string, Fact>();
    this.#facts.set(client, facts);
    for (const room of ROOMS) {
      const handle = client.room(room);
      const state = handle?.state;
      const data = JSON.stringify(client.presenceIn(room) ?? null);
      // Where the node ended a membership, `removed` and what the others are told are on their way at once: either may be the first.
      const isEnding = state === 'joined' && atNodes.get(client.connection)?.includes(room) !== true;
      const said =
        state === 'joined' ? `${client.connection} ${data}` : state === undefined ? OUT : `${state}`;
      const what = isEnding ? 'ending' : said;
      const known = facts.get(room);
      const changes = client.presenceChangesIn(room);
      if (known?.what !== what || known.room !== handle || known.changes !== changes)
        facts.set(room, { room: handle, changes, what, sinceMs: nowMs });
    }
  }

  /** Null: not for long enough, or it is about to join. */
  #known(client: SimulatedClient, room: string): string | null {
    const fact = this.#facts.get(client)?.get(room);
    if (fact === undefined || this.#steady.ofClient(client) < CLIENT_MS) return null;
    if (this.#world.loop.nowMs - fact.sinceMs < KNOWN_MS) return null;
    return fact.what === OUT || fact.what.startsWith(client.connection) ? fact.what : null;
  }

  #check(
    observer: SimulatedClient,
    room: string,
    known: readonly (readonly [SimulatedClient, string | null])[],
  ): void {
    const list = observer.room(room)?.members;
    if (list === undefined || list.partial) return;
    const listed = new Map(
      list.members.map(({ connection, data }) => [
        connection,
        `${connection} ${JSON.stringify(data ?? null)}`,
      ]),
    );
    for (const [client, fact] of known) {
      const seen = listed.get(client.connection) ?? OUT;
      if (seen !== fact) this.#tell(observer, room, `${client.owner.name} as "${seen}", which is "${fact}"`);
    }
  }

  #tell(observer: SimulatedClient, room: string, what: string): void {
    const text = `stale: ${observer.owner.name} has for ${KNOWN_MS} ms listed in ${room} ${what}`;
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#world.violation(text);
  }
}
