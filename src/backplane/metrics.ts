/**
 * What a backplane reports about itself. Plain calls with plain numbers: the receiver turns them into
 * metrics.
 */
export interface BackplaneMetrics {
  /**
   * One group commit was answered or failed: its content, and the time since it was sent. `shard`, here and below: host and port of a
   * server of a cluster; left out for a single Redis.
   */
  publishBatch(messages: number, rooms: number, bytes: number, durationMs: number, shard?: string): void;
  /** A link came up or went down. `link` is `command`, `read` or `subscribe`. */
  linkState(link: string, up: boolean, shard?: string): void;
  /** A lost link reconnected. Not called for the first connection, nor for failed attempts. */
  reconnected(link: string, shard?: string): void;
  /** A probe published by this node arrived on its own subscribe link. */
  probe(lagMs: number, shard?: string): void;
  /** Whether a server of a cluster can be relied on, and how many partitions it has. */
  shardState(shard: string, isReady: boolean, partitions: number): void;
  /** Nodes need this server no longer. */
  shardGone(shard: string): void;
  /** A server of a cluster said who has which slots. */
  slotMapRead(): void;
  /** That many partitions have another master now. */
  partitionsMoved(count: number): void;
  /** Another server has taken over from one that this node used. `planned`: it was proved to lack nothing. */
  promotion(kind: 'planned' | 'unplanned'): void;
  /** That many batches were not run by the server that they were sent to, and wait to be sent again. */
  batchesHeld(count: number): void;
  /** Redis did not know a script, as after a restart, and it was sent again. */
  scriptReloaded(): void;
  /** Bytes that are not an envelope, presence event or signal of this version were dropped. */
  malformedEnvelope(): void;
  /** One call with presence changes was answered or failed. Changes that are sent again count again. */
  presenceBatch(changes: number, rooms: number, durationMs: number): void;
  /** Whether this node's presence lease is valid, as far as the node knows. */
  leaseState(held: boolean): void;
  /** The lease lapsed, or the store forgot it, while the node was running. */
  leaseLost(): void;
  /** This node claimed the entries of a dead one. */
  claimMade(): void;
  /** It removed that many of them. */
  entriesSwept(count: number): void;
}

function ignore(): void {
  // Deliberately empty.
}

/** Counts nothing: for tests and tools. */
export const silentMetrics: BackplaneMetrics = {
  publishBatch: ignore,
  linkState: ignore,
  reconnected: ignore,
  probe: ignore,
  shardState: ignore,
  shardGone: ignore,
  slotMapRead: ignore,
  partitionsMoved: ignore,
  promotion: ignore,
  batchesHeld: ignore,
  scriptReloaded: ignore,
  malformedEnvelope: ignore,
  presenceBatch: ignore,
  leaseState: ignore,
  leaseLost: ignore,
  claimMade: ignore,
  entriesSwept: ignore,
};
