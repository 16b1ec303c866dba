/**
 * The port for acks: for each room, epoch and user the highest acknowledged offset. Only for rooms with
 * history. Acks end with the epoch, and some time after the last ack in the room.
 */
import type { HistoryPolicy } from './history-policy.ts';

/** What is stored for a user in the room's current epoch; epoch '' in a room without numbering. */
export interface Acked {
  readonly epoch: string;
  /** Null if nothing is stored; 0 is a start before the first message. */
  readonly offset: number | null;
}

/** Where a user starts in the room's current epoch. */
export interface Start {
  readonly epoch: string;
  readonly offset: number;
  /** Nothing was stored before. */
  readonly isNew: boolean;
}

/**
 * `kept`: the offset was higher than the stored one. `not_higher`: it was not, and changed nothing.
 * `other_epoch`: the position is not of the current epoch. `beyond`: it is after the newest message of the
 * room, so it cannot have been read.
 */
export type AckOutcome = 'kept' | 'not_higher' | 'other_epoch' | 'beyond';

export interface AckReceipt extends Acked {
  readonly outcome: AckOutcome;
}

/** Users who have acknowledged an offset or a higher one. */
export interface AckPage {
  readonly epoch: string;
  /** Offset of the room's newest message. */
  readonly offset: number;
  /** How many there are, including those not listed. */
  readonly count: number;
  /** Highest first; the order among equal offsets is undefined. */
  readonly users: readonly { readonly user: string; readonly offset: number }[];
}

/**
 * All methods reject with `BackplaneError`. `ack`, `get` and `start` give a room an epoch if it has none;
 * `list` only reads. A start counts as acknowledged, and keeps the numbering of a room that never had a
 * message as long as any other.
 */
export interface Acks {
  /**
   * Records that the user has processed everything up to this position, unless refused (see `AckOutcome`).
   * Atomic: of several at once the highest wins. May be repeated. An offset of 0 stores nothing.
   */
  ack(
    room: string,
    history: HistoryPolicy,
    user: string,
    position: readonly [epoch: string, offset: number],
  ): Promise<AckReceipt>;
  get(room: string, history: HistoryPolicy, user: string): Promise<Acked>;
  /**
   * Where the user starts: the stored position, else the room's current one, which is then stored. Atomic: of
   * several at once, one is new.
   */
  start(room: string, history: HistoryPolicy, user: string): Promise<Start>;
  /** Users at `from` or above; `from` null: at the room's newest offset. At most `limit` (1 or more) are listed. */
  list(room: string, history: HistoryPolicy, from: number | null, limit: number): Promise<AckPage>;
}
