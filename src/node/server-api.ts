import { AccessRefused } from '../auth/authorize.ts';
import type { ServerKey } from '../auth/server-key.ts';
import type { AckPage } from '../backplane/acks.ts';
import { type Backplane, BackplaneError } from '../backplane/backplane.ts';
import type { RoomsPage } from '../backplane/presence.ts';
import type { RoomRule } from '../config/room-rule.ts';
import type { MembersPageWish } from '../connection/services.ts';
import type { MembersResult, Position } from '../protocol/frames.ts';
import type { Revocation } from './denial-table.ts';
import type { Denied } from './denied.ts';
import type { AckedReading } from './membership/acked-reading.ts';
import type { PublishReply } from './pending-publish.ts';
import type { Publishing, ServerMessage } from './publishing.ts';
import type { ClientReads } from './reads/client-reads.ts';
import type { HistoryRun } from './reads/history-reads.ts';
import { ReadRefused } from './reads/read-gate.ts';
import type { Revoked } from './revoked.ts';
import { permitServer, permitServerInCluster } from './server-access.ts';
import { type Removal, type ServerCalls, TooManyDenials, type UserStatus } from './server-calls.ts';

// Part of this class's contract: its promises reject with these.
export { AccessRefused, BackplaneError, ReadRefused, TooManyDenials };

export interface ServerApiParts {
  readonly nodeId: string;
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  readonly calls: ServerCalls;
  readonly reads: ClientReads;
  readonly acks: AckedReading;
  readonly publishing: Publishing;
  readonly denied: Denied;
}

/** The server API of a node: each call is authorized first, then reads, publishes, or acts on all nodes. */
export class ServerApi {
  readonly nodeId: string;
  readonly #parts: ServerApiParts;

  constructor(parts: ServerApiParts) {
    this.nodeId = parts.nodeId;
    this.#parts = parts;
  }

  // ---- messages ------------------------------------------------------------------------------------------

  /** A message of the server API. `reply` is called once, later. */
  publish(message: ServerMessage, reply: PublishReply): void {
    permitServer('publish', message.room, this.#parts.rule);
    this.#parts.publishing.fromServer(message, reply);
  }

  /** Whether a room records how far its users have read. */
  keepsAcks(room: string): boolean {
    return this.#parts.acks.isKeptIn(room);
  }

  /**
   * Users who have read up to an offset or further, in a room that keeps acks. Rejects with `BackplaneError`
   * or `ReadRefused`.
   */
  async listAcks(room: string, from: number | null, limit: number | null): Promise<AckPage> {
    permitServer('acks', room, this.#parts.rule);
    return this.#parts.reads.listAcks(room, from, limit);
  }

  /**
   * Drops all messages of a room. Resolves with its new position, null for a room without numbering. Rejects
   * with `BackplaneError`.
   */
  async clearHistory(room: string): Promise<Position | null> {
    permitServer('clear', room, this.#parts.rule);
    return this.#parts.calls.clearHistory(room);
  }

  /** Whether a room keeps messages. */
  keepsHistory(room: string): boolean {
    return this.#parts.rule(room).history.messages > 0;
  }

  /** Stored messages of a room; see `HistoryReads.read`. Rejects with `BackplaneError` or `ReadRefused`. */
  async readHistory(room: string, since: Position | null, limit: number | null): Promise<HistoryRun> {
    permitServer('history', room, this.#parts.rule);
    return this.#parts.reads.readHistory(room, since, limit);
  }
  /** A page of who is in a room, on any node. Rejects with `BackplaneError` or `ReadRefused`. */
  async listMembers(room: string, page: MembersPageWish): Promise<MembersResult> {
    permitServer('members', room, this.#parts.rule);
    return this.#parts.reads.listMembers(room, page);
  }

  /**
   * Rooms with presence that have members, on any node, sorted by name. Rejects with `BackplaneError` or
   * `ReadRefused`.
   */
  async listRooms(limit: number | null): Promise<RoomsPage> {
    permitServerInCluster('rooms');
    return this.#parts.reads.listRooms(limit);
  }

  /** Ids of the live nodes, including this one. Rejects with `BackplaneError`. */
  async listNodes(): Promise<readonly string[]> {
    permitServerInCluster('nodes');
    return this.#parts.backplane.presence.nodes();
  }

  /**
   * Ends a user's memberships of a room, on every node, and keeps the user out if asked. Resolves when all
   * nodes were told. `key`: of the HTTP API, default one that may do everything. Rejects with `BackplaneError` or
   * `TooManyDenials`.
   */
  async removeFromRoom(
    room: string,
    user: string,
    removal: Removal,
    key: ServerKey | null = null,
  ): Promise<void> {
    permitServer('remove', room, this.#parts.rule);
    return this.#parts.calls.remove(room, user, removal, key);
  }

  /**
   * Makes a user's connections members of a room, on every node, where they may join it. Resolves when all
   * nodes were told. Rejects with `BackplaneError`.
   */
  async addToRoom(room: string, user: string): Promise<void> {
    permitServer('add', room, this.#parts.rule);
    return this.#parts.calls.add(room, user);
  }

  /**
   * Closes every connection of a user, on every node. Resolves when all nodes were told. Rejects with
   * `BackplaneError`.
   */
  async disconnectUser(user: string): Promise<void> {
    permitServerInCluster('disconnect');
    return this.#parts.calls.disconnect(user);
  }

  /**
   * Closes every connection of a user, or with a token, on every node, and lets nobody connect or publish with it for that long.
   * Resolves when it is stored and all nodes were told. Rejects with `BackplaneError` or `TooManyDenials`.
   */
  async revoke(revoked: Revoked, forMs: number): Promise<void> {
    permitServerInCluster('revoke');
    return this.#parts.calls.revoke(revoked, forMs);
  }

  /** Ends a revocation on every node. Harmless where there is none. Rejects with `BackplaneError`. */
  async endRevocation(revoked: Revoked): Promise<void> {
    permitServerInCluster('revoke');
    return this.#parts.calls.endRevocation(revoked);
  }

  /** What is revoked now, all of it or this, as far as this node knows. */
  listRevocations(of: Revoked | null): readonly Revocation[] {
    permitServerInCluster('revoke');
    return this.#parts.denied.revocations(of);
  }

  /** Whether a user has connections, on any node. Rejects with `BackplaneError`. */
  async statusOfUser(user: string): Promise<UserStatus> {
    permitServerInCluster('user');
    return this.#parts.calls.statusOf(user);
  }
}
