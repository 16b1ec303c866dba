import type { AckPage } from '../../backplane/acks.ts';
import type { Presence, RoomsPage } from '../../backplane/presence.ts';
import type { MembersPageWish, Request } from '../../connection/services.ts';
import type { MembersResult, Position } from '../../protocol/frames.ts';
import type { Logger } from '../../util/log.ts';
import type { AckedReading } from '../membership/acked-reading.ts';
import { ENTRY_COST, type Presences } from '../membership/presences.ts';
import type { RoomRights } from '../membership/room-rights.ts';
import { failWith } from './answer.ts';
import type { HistoryReads, HistoryRun } from './history-reads.ts';
import type { Reader, ReadGate } from './read-gate.ts';

/** JSON text is made from the values of each message, which takes several times as long as copying. */
const JSON_COST = 2;

export interface ClientReadsParts {
  readonly gate: ReadGate;
  readonly histories: HistoryReads;
  readonly presences: Presences;
  readonly presence: Presence;
  readonly acks: AckedReading;
  readonly rights: RoomRights;
  /** Maximum entries in one list. */
  readonly membersPage: number;
  readonly log: Logger;
}

/**
 * Reads of the store for clients and the server API, each through the gate. All methods of the server API
 * reject with `BackplaneError` or `ReadRefused`.
 */
export class ClientReads {
  readonly #parts: ClientReadsParts;
  /** Routes do not wait for each other: a list of all rooms may take long. */
  readonly #routes = {
    history: serverReader(),
    members: serverReader(),
    rooms: serverReader(),
    acks: serverReader(),
  };

  constructor(parts: ClientReadsParts) {
    this.#parts = parts;
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    const { log } = this.#parts;
    const { connection } = request;
    this.#history(connection, room, since, limit, connection.readsText ? JSON_COST : 1)
      .then(({ epoch, offset, frames }) => {
        if (this.#mayStill('history', room, request)) request.okHistory(epoch, offset, frames);
      })
      .catch((error: unknown) => failWith(request, error, log));
  }

  /** Stored messages of a room; see `HistoryReads.read`. */
  readHistory(room: string, since: Position | null, limit: number | null): Promise<HistoryRun> {
    return this.#history(this.#routes.history, room, since, limit, JSON_COST);
  }

  members(request: Request, room: string, page: MembersPageWish): void {
    this.#members(request.connection, room, page)
      .then((result) => {
        if (this.#mayStill('members', room, request)) request.ok(result);
      })
      .catch((error: unknown) => failWith(request, error, this.#parts.log));
  }

  /** A read may have waited for long: the right may be gone meanwhile. Then the client gets the reason. */
  #mayStill(action: 'history' | 'members', room: string, request: Request): boolean {
    const refusal = this.#parts.rights.refusal(action, room, request.connection);
    if (refusal === null) return true;
    const { code, message, retryAfterMs } = refusal;
    request.fail(code, message, retryAfterMs === undefined ? undefined : { retryAfterMs });
    return false;
  }

  /** A page of who is in a room, on any node. */
  listMembers(room: string, page: MembersPageWish): Promise<MembersResult> {
    return this.#members(this.#routes.members, room, page);
  }

  /** Rooms with presence that have members, on any node, sorted by name. */
  listRooms(limit: number | null): Promise<RoomsPage> {
    const { presence, membersPage } = this.#parts;
    return this.#listed(this.#routes.rooms, async () => {
      const value = await presence.rooms(Math.min(limit ?? membersPage, membersPage));
      return { value, entries: value.rooms.length };
    });
  }

  /** Users who have read up to an offset or further, in a room that keeps acks. */
  listAcks(room: string, from: number | null, limit: number | null): Promise<AckPage> {
    const { acks, membersPage } = this.#parts;
    return this.#listed(this.#routes.acks, async () => {
      const value = await acks.list(room, from, Math.min(limit ?? membersPage, membersPage));
      return { value, entries: value.users.length };
    });
  }

  #history(
    reader: Reader,
    room: string,
    since: Position | null,
    limit: number | null,
    factor: number,
  ): Promise<HistoryRun> {
    const { gate, histories } = this.#parts;
    return gate.run(reader, async () => {
      const value = await histories.read(room, since, limit);
      return { value, bytes: value.cost * factor };
    });
  }

  #members(reader: Reader, room: string, page: MembersPageWish): Promise<MembersResult> {
    return this.#listed(reader, async () => {
      const value = await this.#parts.presences.list(room, page);
      return { value, entries: value.members.length };
    });
  }

  #listed<T>(reader: Reader, read: () => Promise<{ value: T; entries: number }>): Promise<T> {
    return this.#parts.gate.run(reader, async () => {
      const { value, entries } = await read();
      return { value, bytes: entries * ENTRY_COST };
    });
  }
}

function serverReader(): Reader {
  return { isOpen: true, isBehind: false, isServer: true };
}
