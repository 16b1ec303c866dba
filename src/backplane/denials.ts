/**
 * Who is kept out of what, and until when: a short list that all nodes share, and of which each keeps a copy.
 * Subjects are text of the node's choice (see `node/denial-table.ts`); the store does not read them.
 *
 * What was lifted is remembered as long as the denial would have lasted, and each change has a time. So a node that finds
 * something else in the store than it knows can tell which is the later, and puts back what the store lost: a store that
 * comes back from an older disk may have lost a denial, or a lift, or only the newest of several.
 */

export interface Denial {
  readonly subject: string;
  /** Milliseconds until it ends, or would have ended, at least 1. */
  readonly leftMs: number;
  /** It was ended early. */
  readonly isLifted: boolean;
  /**
   * When it was denied or lifted, in ms since the Unix epoch by the store's clock, and later than every change of the subject
   * before; 0 if the store does not know.
   */
  readonly changedAtMs: number;
}

/** Maximum entries at once, lifted ones too, so that a copy on every node stays small. */
export const MAX_DENIALS = 100_000;

/** Every method rejects with `BackplaneError`. */
export interface Denials {
  /**
   * Denies a subject for that long from now on, instead of what was said before. Resolves once it is stored with the time of
   * the change, later than `afterMs`: with null if the list is full, and nothing was stored.
   */
  deny(subject: string, forMs: number, afterMs?: number): Promise<number | null>;
  /** Ends a denial that would last at least that much longer, as far as the caller knows. Resolves with the time of the change. */
  lift(subject: string, leftMs: number, afterMs?: number): Promise<number>;
  /** All that have not ended. */
  read(): Promise<readonly Denial[]>;
  /** Writes those that the store knows nothing of, or only an earlier change of: it has lost them. */
  restore(denials: readonly Denial[]): Promise<void>;
}
