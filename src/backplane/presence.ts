/**
 * The port for who is in a room, on any node. Entries belong to the lease of the node that made them: a live
 * node renews one lease, and when it lapses a surviving node removes the dead node's entries and announces
 * that they left.
 */

import type { PackedValue } from '../protocol/frames.ts';

/** One connection in a room. `info` and `data` are any values that MessagePack can carry. */
export interface PresenceEntry {
  /** Unique in the cluster; starts with the id of its node and `-`. */
  readonly connection: string;
  readonly user: string | null;
  /** What the token says of its user. */
  readonly info?: unknown;
  /** What the member brought itself. */
  readonly data?: unknown;
}

/** An entry that a node makes. Its `data` is packed, checked, and not decoded on its way to the store. */
export interface OwnEntry extends Omit<PresenceEntry, 'data'> {
  readonly data?: PackedValue;
}

export interface PresenceChange {
  /** `changed`: the entry was there before, and another `user`, `info` or `data` is in it now. */
  readonly change: 'joined' | 'left' | 'changed';
  /** As it is now; for one that left, as it was. */
  readonly who: PresenceEntry;
  /** Entries in the room right after this change. */
  readonly count: number;
}

export interface PresencePage {
  /** Entries in the room, including those not listed. */
  readonly count: number;
  /** Distinct users among all entries, without anonymous connections. */
  readonly users: number;
  /** In the order of the bytes of their connections, so that those that stay come once in a row of pages. */
  readonly members: readonly PresenceEntry[];
  /** Null if there are no more; else what the next page starts after. */
  readonly next: string | null;
}

/** A room that has entries. */
export interface PresentRoom {
  readonly room: string;
  /** How many. */
  readonly count: number;
}

export interface RoomsPage {
  /** Sorted by name, in the order of UTF-16 units. */
  readonly rooms: readonly PresentRoom[];
  /** There are more. */
  readonly truncated: boolean;
}

/** What presence tells its node. Handlers MUST NOT throw. */
export interface PresenceEvents {
  /**
   * Entries of a room changed, on any node, in order. Only for rooms that this node is subscribed
   * to and whose changes were announced. At most once for each change.
   */
  changed(room: string, changes: readonly PresenceChange[]): void;
  /**
   * The node's lease lapsed while it was running (it was frozen, or the store was lost), so its entries may
   * be gone: it must enter all of its members again.
   */
  leaseLost(): void;
}

export interface Presence {
  /** Takes the lease and keeps renewing it. Called once, after the backplane started. */
  start(events: PresenceEvents): Promise<void>;
  /**
   * Enters or removes a connection of this node. Never throws and never blocks: changes gather and are
   * written in few calls, those of one room in the order of these calls. Entering again replaces the entry; the same
   * entry is no change. `announce`: tell the nodes that are subscribed to the room. While the store is away changes are kept (the last one of each connection and
   * room), and written when it is back.
   */
  enter(room: string, entry: OwnEntry, announce: boolean): void;
  leave(room: string, entry: OwnEntry, announce: boolean): void;
  /**
   * At most `limit` entries, after `after` (the `next` of the page before; null: from the first). Includes
   * what this node has entered before. Rejects with `BackplaneError`.
   */
  list(room: string, limit: number, after?: string | null): Promise<PresencePage>;
  /**
   * The first page as `list` gives it, for a room that this node is subscribed to. When it resolves, this node has been told of every
   * change that is in the page, and perhaps of later ones. So the page and the changes told since the call,
   * applied to it in order, are who is in the room. Rejects with `BackplaneError`.
   */
  view(room: string, limit: number): Promise<PresencePage>;
  /**
   * The first `limit` rooms by name that have entries, of any node with a valid lease. Not one atomic view:
   * rooms are counted one after the other. Includes what this node has entered before. Rejects with
   * `BackplaneError`.
   */
  rooms(limit: number): Promise<RoomsPage>;
  /** Nodes with valid leases, including this one. Rejects with `BackplaneError`. */
  nodes(): Promise<readonly string[]>;
  /** Writes what waits, then gives up the lease. The connections must have left before. Bounded in time. */
  close(): Promise<void>;
}
