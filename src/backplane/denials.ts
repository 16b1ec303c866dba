/**
 * Who is kept out of what, and until when: a short list that all nodes share, and of which each keeps a copy.
 * Subjects are text of the node's choice (see `node/denied.ts`); the store does not read them.
 *
 * What was lifted is remembered as long as the denial would have lasted. So a node that finds a denial missing
 * in the store knows whether it was lifted or lost, and puts back what was lost.
 */

export interface Denial {
  readonly subject: string;
  /** Milliseconds until it ends, at least 1. */
  readonly leftMs: number;
}

export interface DenialList {
  /** All that have not ended. */
  readonly denied: readonly Denial[];
  /** Subjects of denials that were ended early. */
  readonly lifted: readonly string[];
}

/** Maximum entries at once, lifted ones too, so that a copy on every node stays small. */
export const MAX_DENIALS = 100_000;

/** Every method rejects with `BackplaneError`. */
export interface Denials {
  /**
   * Denies a subject for that long from now on, instead of what was said before. Resolves once it is stored:
   * with false if the list is full, and nothing was stored.
   */
  deny(subject: string, forMs: number): Promise<boolean>;
  /** Ends a denial that would last at least that much longer, as far as the caller knows. */
  lift(subject: string, leftMs: number): Promise<void>;
  read(): Promise<DenialList>;
  /** Adds those of which the store knows nothing: it has lost them. */
  restore(denials: readonly Denial[]): Promise<void>;
}
