import {
  authorize,
  authorizeJoin,
  type JoinAsks,
  type KeptOut,
  type Refusal,
  type RoomAction,
} from '../../auth/authorize.ts';
import type { Identity } from '../../auth/identity.ts';
import type { RoomRule } from '../../config/room-rule.ts';

export interface RoomRightsParts {
  readonly rule: (room: string) => RoomRule;
  readonly keptOut: KeptOut;
}

/** A connection, or a request of a client. */
interface Client {
  readonly identity: Identity | null;
  readonly rooms: readonly string[];
}

/** What clients may do in rooms at the moment of asking: `authorize`, with what this node knows. */
export class RoomRights {
  readonly #parts: RoomRightsParts;

  constructor(parts: RoomRightsParts) {
    this.#parts = parts;
  }

  /** Null if the client may. */
  refusal(action: RoomAction, room: string, client: Client): Refusal | null {
    const { rule, keptOut } = this.#parts;
    return authorize(action, room, client, rule(room), keptOut);
  }

  may(action: RoomAction, room: string, client: Client): boolean {
    return this.refusal(action, room, client) === null;
  }

  joinRefusal(room: string, asks: JoinAsks, client: Client): Refusal | null {
    const { rule, keptOut } = this.#parts;
    return authorizeJoin(room, asks, client, rule(room), keptOut);
  }
}
