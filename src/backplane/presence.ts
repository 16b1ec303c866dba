/**
 * The port for who is in a room, on any node. Entries belong to the lease of the node that made them: a live
 * node renews one lease, and when it lapses a surviving node removes the dead node's entries and announces
 * that they left.
 */

/** One connection in a room. `info` is any value that MessagePack can carry. */
export interface PresenceEntry {
  /** Unique in the cluster; starts with the id of its node and `-`. */
  readonly connection: string;
  readonly user: string | null;
  readonly info?: unknown;
}

export interface PresenceChange {
  readonly change: 'joined' | 'left';
  readonly who: PresenceEntry;
  /** Entries in the room right after this change. */
  readonly count: number;
}

export interface PresencePage {
  /** Entries in the room, including those not listed. */
  readonly count: number;
  /** Distinct users among all entries, without anonymous connections. */
  readonly users: number;
  readonly members: readonly PresenceEntry[];
  /** Some are not listed. */
  readonly truncated: boolean;
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
   * written in few calls, those of one room in the order of these calls. `announce`: tell the nodes that are
   * subscribed to the room. While the store is away changes are kept (the last one of each connection and
   * room), and written when it is back.
   */
  enter(room: string, entry: PresenceEntry, announce: boolean): void;
  leave(room: string, entry: PresenceEntry, announce: boolean): void;
  /** At most `limit` entries. Includes what this node has entered before. Rejects with `BackplaneError`. */
  list(room: string, limit: number): Promise<PresencePage>;
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
