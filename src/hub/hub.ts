import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { Room } from './room.ts';

/** What the hub needs from a connection. */
export interface HubConnection {
  /** Unique on this node for its lifetime, from 1. */
  readonly number: number;
  readonly user: string | null;
  readonly encoding: ReaderEncoding;
  /**
   * Names of the rooms it is in, written by the hub. The array is replaced on change, which keeps it exactly
   * as long as needed: `push` reserves room for 16 more, and most connections are in one or two rooms.
   */
  rooms: readonly string[];
}

/** Who on this node is in which room. Pure bookkeeping without I/O. */
export class Hub<C extends HubConnection> {
  readonly #rooms = new Map<string, Room>();
  readonly #connections = new Map<number, C>();
  readonly #byUser = new Map<string, Set<C>>();
  #memberships = 0;

  get connectionCount(): number {
    return this.#connections.size;
  }

  get roomCount(): number {
    return this.#rooms.size;
  }

  get membershipCount(): number {
    return this.#memberships;
  }

  rooms(): IterableIterator<Room> {
    return this.#rooms.values();
  }

  connections(): IterableIterator<C> {
    return this.#connections.values();
  }

  room(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  connection(number: number): C | undefined {
    return this.#connections.get(number);
  }

  /** The connections of one user on this node. */
  connectionsOf(user: string): Iterable<C> {
    return this.#byUser.get(user) ?? [];
  }

  /** Whether a user has a connection to this node. */
  hasUser(user: string): boolean {
    return this.#byUser.has(user);
  }

  /** How many connections a user has to this node. */
  countOf(user: string): number {
    return this.#byUser.get(user)?.size ?? 0;
  }

  add(connection: C): void {
    this.#connections.set(connection.number, connection);
    this.identify(connection);
  }

  /** Files a connection under its user, once known. */
  identify(connection: C): void {
    if (connection.user === null) return;
    const known = this.#byUser.get(connection.user);
    if (known) known.add(connection);
    else this.#byUser.set(connection.user, new Set([connection]));
  }

  /** Forgets a connection, which must have left its rooms. */
  remove(connection: C): void {
    this.#connections.delete(connection.number);
    if (connection.user === null) return;
    const known = this.#byUser.get(connection.user);
    known?.delete(connection);
    if (known?.size === 0) this.#byUser.delete(connection.user);
  }

  /** The room, which may have no members. It stays until `drop`. */
  open(name: string): Room {
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(name);
      this.#rooms.set(name, room);
    }
    return room;
  }

  /** Makes a connection a member. Returns the room; `room.members` is 1 for the first member. */
  enter(connection: C, name: string): Room {
    const room = this.open(name);
    // The room's own copy of the name: the caller's copy would stay alive once per membership.
    connection.rooms = [...connection.rooms, room.name];
    room.counted(connection.encoding, 1);
    this.#memberships++;
    return room;
  }

  /**
   * Ends a membership. Returns the room, or null if there was no membership. An empty room stays until
   * `drop`.
   */
  leave(connection: C, name: string): Room | null {
    if (!connection.rooms.includes(name)) return null;
    const room = this.#rooms.get(name)!;
    connection.rooms = connection.rooms.filter((joined) => joined !== name);
    room.counted(connection.encoding, -1);
    this.#memberships--;
    return room;
  }

  /** Forgets an empty room. */
  drop(room: Room): void {
    if (room.members === 0 && this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }
}
