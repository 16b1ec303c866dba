/**
 * Which leases have lapsed, as one node sees it: those whose record did not change for the time that it names, by this
 * node's own steady clock. No node's wall clock matters, nor Redis's, which may be set.
 *
 * What was not watched counts for nothing: after this node was frozen, or Redis was away, the others could not be seen
 * to renew, and perhaps could not renew. Then their time starts anew.
 */
export interface LeaseWatchOptions {
  /** For records that do not name theirs. */
  readonly leaseMs: number;
  /** Between two looks more than this is a time in which nobody watched. */
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

  /** Notes the records as they are now, by node. Returns the nodes whose leases have lapsed. */
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

  /** Its own: nodes whose settings differ, as during a change of them, do not take each other for dead. */
  #leaseMs({ record }: Seen): number {
    return Number(record.split(':')[2]) || this.#options.leaseMs;
  }
}
