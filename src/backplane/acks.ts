/**
 * The port for how far users have read: for each room, epoch and user the highest offset that was acknowledged. It is for
 * rooms with history; what is kept ends with the epoch, and some time after the last ack in the room.
 */
import type { HistoryPolicy } from './history-policy.ts';

/** What is kept for a user in the room's present epoch; epoch '' in a room without numbering. */
export interface Acked {
  readonly epoch: string;
  /** Null where nothing is kept; 0 is a start before the first message. */
  readonly offset: number | null;
}

/** Where a user starts in the room's present epoch. */
export interface Start {
  readonly epoch: string;
  readonly offset: number;
  /** Nothing was kept before. */
  readonly isNew: boolean;
}

/**
 * `kept`: the offset was higher than what was kept. `not_higher`: it was not, and changed nothing. `other_epoch`: the position
 * is not of the present epoch. `beyond`: it is after the newest message of the room, and so cannot have been read.
 */
export type AckOutcome = 'kept' | 'not_higher' | 'other_epoch' | 'beyond';

export interface AckReceipt extends Acked {
  readonly outcome: AckOutcome;
}

/** Who has acknowledged an offset or a higher one. */
export interface AckPage {
  readonly epoch: string;
  /** Offset of the room's newest message. */
  readonly offset: number;
  /** All of them, those that are not listed included. */
  readonly count: number;
  /** Highest first; among equal offsets in no order that is promised. */
  readonly users: readonly { readonly user: string; readonly offset: number }[];
}

/**
 * All methods reject with `BackplaneError`. `ack`, `get` and `start` give a room an epoch if it has none; `list` only looks. A start
 * counts as acknowledged, and keeps the numbering of a room that never had a message as long as that of any other.
 */
export interface Acks {
  /**
   * Keeps that the user has processed everything up to this position, unless something says no (see `AckOutcome`). Atomic: of
   * several at once the highest is kept. May be repeated. An offset of 0 keeps nothing.
   */
  ack(
    room: string,
    history: HistoryPolicy,
    user: string,
    position: readonly [epoch: string, offset: number],
  ): Promise<AckReceipt>;
  get(room: string, history: HistoryPolicy, user: string): Promise<Acked>;
  /**
   * Where the user starts: what is kept, else where the room stands now, which is kept from then on. Atomic: of several at
   * once one is new.
   */
  start(room: string, history: HistoryPolicy, user: string): Promise<Start>;
  /** Users at `from` or above; `from` null: at the room's newest offset. At most `limit` (1 or more) are listed. */
  list(room: string, history: HistoryPolicy, from: number | null, limit: number): Promise<AckPage>;
}
