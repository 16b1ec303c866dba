/** What members say of themselves keeps its order: who has been told of it is not told something older later on, not even for a moment. */
import type { Room } from '../../../src/client/room.ts';

/** What an observer has been told on one connection: how far each of the others had come. */
interface Seen {
  readonly connection: string;
  readonly upTo: Map<string, number>;
}

/** Whoever looks at the list of a room. */
export interface Observer {
  readonly name: string;
  readonly connection: string;
}

export interface DataOrderParts {
  /** Whether a room may have lost what was written. */
  readonly forgot: (room: string) => boolean;
  readonly violation: (what: string) => void;
}

export class DataOrder {
  readonly #parts: DataOrderParts;
  /** By client and room: all that it said, nothing included. */
  readonly #said = new Map<string, string[]>();
  /** Which client has, or had, a connection. */
  readonly #clients = new Map<string, string>();
  readonly #seen = new WeakMap<Room, Seen>();

  constructor(parts: DataOrderParts) {
    this.#parts = parts;
  }

  connected(client: string, connection: string): void {
    this.#clients.set(connection, client);
  }

  says(client: string, room: string, data: unknown): void {
    const key = `${client} ${room}`;
    const said = this.#said.get(key) ?? [];
    this.#said.set(key, said);
    said.push(textOf(data));
  }

  /** `observer` has another list of who is in a room. */
  sees({ name, connection }: Observer, room: Room): void {
    let seen = this.#seen.get(room);
    if (seen?.connection !== connection) {
      seen = { connection, upTo: new Map() };
      this.#seen.set(room, seen);
    }
    // What a promoted Redis lacks was said, and is not there.
    if (this.#parts.forgot(room.name)) return seen.upTo.clear();
    for (const member of room.members.members) {
      const client = this.#clients.get(member.connection);
      const said = this.#said.get(`${client} ${room.name}`);
      // An answer shows it what it said itself at once, and what others are told follows.
      if (said === undefined || client === name) continue;
      const before = seen.upTo.get(member.connection) ?? 0;
      // It may have said the same several times: the first of them is enough.
      const at = said.indexOf(textOf(member.data), before);
      if (at !== -1) seen.upTo.set(member.connection, at);
      else this.#tell(`${name} is told again in ${room.name} that ${client} is ${textOf(member.data)}`);
    }
  }

  #tell(what: string): void {
    this.#parts.violation(`stale: ${what}, after what it said later`);
  }
}

function textOf(data: unknown): string {
  return JSON.stringify(data ?? null);
}
