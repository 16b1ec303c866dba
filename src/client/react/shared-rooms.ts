/** The rooms that the components of one client use. */
import type { BaseClient } from '../client.ts';
import { SharedRoom, type Use } from './shared-room.ts';

export class SharedRooms {
  readonly #client: BaseClient;
  readonly #rooms = new Map<string, SharedRoom>();

  constructor(client: BaseClient) {
    this.#client = client;
  }

  /** Undefined before a component that uses the room has mounted: a render changes nothing. */
  find(name: string | null): SharedRoom | undefined {
    return name === null ? undefined : this.#rooms.get(name);
  }

  /** Null: nothing is used. Returns what ends the use. */
  use(name: string | null, use: Use): () => void {
    if (name === null) return () => undefined;
    const shared = this.#rooms.get(name) ?? this.#add(name);
    return shared.use(use);
  }

  #add(name: string): SharedRoom {
    const shared = new SharedRoom(
      (options) => this.#client.room(name, options),
      () => this.#rooms.delete(name),
    );
    this.#rooms.set(name, shared);
    return shared;
  }
}

const ofClient = new WeakMap<BaseClient, SharedRooms>();

export function sharedRoomsOf(client: BaseClient): SharedRooms {
  const known = ofClient.get(client) ?? new SharedRooms(client);
  ofClient.set(client, known);
  return known;
}
