import type { Connection } from '../../connection/connection.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails, Position } from '../../protocol/frames.ts';
import type { Feed } from '../rooms/feed.ts';
import { nextStep, type Step, startOfNewest } from './next-step.ts';

/** Maximum messages in one read of history for a cursor. */
export const MAX_PAGE_MESSAGES = 500;

/** Why a join failed: a backplane error, or a right that was revoked in the meantime. */
export interface JoinFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** The join that must be answered once its cursor begins. One of these is called, once. */
export interface CursorOwner {
  /**
   * Everything after the position asked for will follow, or (`recovered` false) some will not. `from`: the offset before the first
   * message that follows.
   */
  begun(recovered: boolean, from: number): void;
  /** The missing messages could not be read. */
  failed(failure: JoinFailure): void;
}

/**
 * A member that is catching up. It is not on its room's topic: it is fed from the cursor's position, first
 * from the node's memory, else from history, until it reaches the topic's position; then it moves to the
 * topic.
 */
export class Cursor {
  readonly connection: Connection;
  readonly feed: Feed;
  /** When it begins, it is to lack so many messages at most: what is older is left out. Null: it may lack any number. */
  readonly last: number | null;
  epoch = '';
  /** The last offset handed to the connection. */
  offset = 0;
  /** In a room without history, it lacks the newest messages above this mark. */
  mark: number;
  /** It has no position of its own: it starts at the topic's position. */
  isFresh = true;
  /** Its position is its user's start. */
  isKept = false;
  /** It takes steps. A join may have to wait for something first, while its connection drains. */
  hasStarted = false;
  /** A read of history is under way. */
  isReading = false;
  /** It skips to the newest message instead of catching up with all of them. */
  isConflating = false;
  /** It may not have what was sent before its room's topic reached it: that is named as a gap. */
  isCut = false;
  /**
   * It closes the connection as soon as the peer can be told why: behind a full queue, a close frame would be
   * dropped like a message.
   */
  isLeaving = false;
  /** It replays what a join asked for; else what a member was too slow for. */
  readonly isReplay: boolean;
  /** Waits for it to begin; null once it has. Nothing may be fed before. */
  #owner: CursorOwner | null;

  private constructor(connection: Connection, feed: Feed, last: number | null, owner: CursorOwner | null) {
    this.connection = connection;
    this.feed = feed;
    this.last = last;
    this.isReplay = owner !== null;
    this.mark = last === null || last === 0 ? Number.POSITIVE_INFINITY : 0;
    this.#owner = owner;
  }

  /** A cursor for a join, which is answered when the cursor begins. */
  static joining(connection: Connection, feed: Feed, last: number | null, owner: CursorOwner): Cursor {
    return new Cursor(connection, feed, last, owner);
  }

  /** A cursor for a member of the room that could not take what was sent after this position, and this mark. */
  static resuming(connection: Connection, feed: Feed, from: Position, mark: number): Cursor {
    const cursor = new Cursor(connection, feed, null, null);
    cursor.mark = mark;
    cursor.startAfter(from);
    cursor.isConflating = feed.rule.slowReaders === 'latest';
    cursor.isLeaving = feed.rule.slowReaders === 'disconnect';
    return cursor;
  }

  startAfter([epoch, offset]: Position): void {
    this.epoch = epoch;
    this.offset = offset;
    this.isFresh = false;
  }

  /** Its join was answered, or it has none. */
  get hasBegun(): boolean {
    return this.#owner === null;
  }

  /** How many messages newer ones have replaced, among those that make up its newest. */
  get replaced(): number {
    const { last, hasBegun, feed } = this;
    return last === null || hasBegun ? 0 : feed.recent.replacedAmongNewest(last, feed.sentOffset);
  }

  /** Where the newest messages begin that it asked for, when those up to `goneUpTo` are gone. */
  newestStart(goneUpTo: number): number {
    return startOfNewest(this, this.feed, { goneUpTo, replaced: this.replaced });
  }

  /** What it does next, by what its node remembers. */
  nextStep(nowMs: number): Step {
    const { recent } = this.feed;
    const [remembered, goneUpTo] = [recent.oldest(nowMs), recent.goneUpTo];
    return nextStep(this, this.feed, { remembered, goneUpTo, replaced: this.replaced });
  }

  /** Has its owner answer, once; later calls do nothing. `from`: where it stands when all that it is told first is told. */
  begin(recovered: boolean, from = this.offset): void {
    const owner = this.#owner;
    this.#owner = null;
    owner?.begun(recovered, from);
  }

  /** Does nothing once it has begun: it is retried then. */
  fail(failure: JoinFailure): void {
    const owner = this.#owner;
    this.#owner = null;
    owner?.failed(failure);
  }
}
