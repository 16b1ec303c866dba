/**
 * What members say of themselves keeps its order: whoever has been told of it does not go back to something older. For a moment it
 * may: what follows the answer to a join goes on from its list, and some of it may be in the list already, and older.
 */
import type { Room } from '../../../src/client/room.ts';

type Member = Room['members']['members'][number];

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
  readonly after: (delayMs: number, work: () => void) => void;
}

/** Frames of one turn arrive within this time. */
const PASSING_MS = 250;

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
      const at = this.#placeOf(member, name, room, seen);
      if (at !== -1) seen.upTo.set(member.connection, at);
      else this.#parts.after(PASSING_MS, () => this.#lookAgain(member.connection, name, room, seen));
    }
  }

  #lookAgain(connection: string, observer: string, room: Room, seen: Seen): void {
    if (this.#seen.get(room) !== seen || this.#parts.forgot(room.name)) return;
    const member = room.members.members.find((one) => one.connection === connection);
    if (member === undefined || this.#placeOf(member, observer, room, seen) !== -1) return;
    const what = `${this.#clients.get(connection)} is ${textOf(member.data)}`;
    this.#parts.violation(
      `stale: ${observer} is told again in ${room.name} that ${what}, after what it said later`,
    );
  }

  /** Where in the order of what it said: -1 where all of that was said before what was told last. */
  #placeOf({ connection, data }: Member, observer: string, room: Room, seen: Seen): number {
    const client = this.#clients.get(connection);
    const said = this.#said.get(`${client} ${room.name}`);
    const before = seen.upTo.get(connection) ?? 0;
    // An answer shows it what it said itself at once, and what others are told follows.
    if (said === undefined || client === observer) return before;
    // It may have said the same several times: the first of them is enough.
    return said.indexOf(textOf(data), before);
  }
}

function textOf(data: unknown): string {
  return JSON.stringify(data ?? null);
}
