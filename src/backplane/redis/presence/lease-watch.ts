/**
 * Which leases have lapsed, as one node sees it: those whose record did not change for the time that it
 * names, by this node's own steady clock. Wall clocks do not matter, neither a node's nor Redis's, which may
 * be set.
 *
 * Unwatched time does not count: after this node was frozen, or Redis was away, the other nodes could not be
 * seen to renew, and perhaps could not. Then their time starts over.
 */
export interface LeaseWatchOptions {
  /** For records that do not name their own. */
  readonly leaseMs: number;
  /** A longer gap between two looks counts as unwatched. */
  readonly maxGapMs: number;
}

interface Seen {
  readonly record: string;
  readonly sinceMs: number;
}

export class LeaseWatch {
  readonly #options: LeaseWatchOptions;
  #seen = new Map<string, Seen>();
  #lookedAtMs = -Infinity;

  constructor(options: LeaseWatchOptions) {
    this.#options = options;
  }

  /** Records the current state, by node. Returns the nodes whose leases have lapsed. */
  look(records: ReadonlyMap<string, string>, nowMs: number): string[] {
    const hasGap = nowMs - this.#lookedAtMs > this.#options.maxGapMs;
    this.#lookedAtMs = nowMs;
    const seen = new Map<string, Seen>();
    for (const [node, record] of records) {
      const before = this.#seen.get(node);
      seen.set(node, !hasGap && before?.record === record ? before : { record, sinceMs: nowMs });
    }
    this.#seen = seen;
    return [...seen]
      .filter(([, lease]) => nowMs - lease.sinceMs >= this.#leaseMs(lease))
      .map(([node]) => node);
  }

  /**
   * The record's own: so nodes with different settings, as during a change, do not take each other for dead.
   */
  #leaseMs({ record }: Seen): number {
    return Number(record.split(':')[2]) || this.#options.leaseMs;
  }
}
