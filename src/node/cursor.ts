import type { Acked, Start } from '../backplane/acks.ts';
import type { Connection } from '../connection/connection.ts';
import type { ErrorCode } from '../protocol/codes.ts';
import type { Position } from '../protocol/frames.ts';
import type { Feed } from './feed.ts';

/** Messages in one read of history for a cursor, at most. */
export const MAX_PAGE_MESSAGES = 500;

/** Why a join failed: an error of the backplane, or a right that was taken away meanwhile. */
export interface JoinFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** How a cursor tells its join what became of it: one of these is called, once. */
export interface CursorReply {
  /** Everything after the position asked for will follow, or (`recovered` false) some could not be had. */
  begun(recovered: boolean, cursor: Cursor): void;
  failed(failure: JoinFailure): void;
  /** The connection left the room, or joined it anew, before this join was complete. */
  abandoned(): void;
}

/**
 * A member that is catching up. It is not on its room's topic: it is fed from the cursor's position, first from what the
 * node remembers, else from history, until it meets the live offset; then it moves to the topic in the same tick.
 */
export class Cursor {
  readonly connection: Connection;
  readonly feed: Feed;
  epoch: string;
  /** The last offset that was handed to the connection. */
  offset: number;
  /** Where it was asked to begin; null at the live offset. */
  since: Position | null;
  /** What its user has acknowledged in the room, where the reply is to say so. */
  acked: Acked | null = null;
  /** It has no position of its own yet: it starts where the room stands. */
  isFresh: boolean;
  /** Whether its join was answered; nothing may be fed before. */
  hasReplied = false;
  /** A read of history is under way. */
  isReading = false;
  /** How many messages its next read of history asks for: fewer where they are large. */
  pageMessages = MAX_PAGE_MESSAGES;
  /** It skips to the newest message instead of catching up with all of them. */
  isConflating = false;
  /**
   * It ends the connection as soon as that can be told: a close frame behind a full queue would be dropped as a message is,
   * and the peer would not learn why.
   */
  isLeaving = false;
  readonly #reply: CursorReply;
  #waiting: (() => void)[] | null = null;

  /** `since` null begins at the live offset. */
  constructor(connection: Connection, feed: Feed, since: Position | null, reply: CursorReply) {
    this.connection = connection;
    this.feed = feed;
    this.since = since;
    this.isFresh = since === null;
    this.epoch = since?.[0] ?? '';
    this.offset = since?.[1] ?? 0;
    this.#reply = reply;
  }

  /** A cursor for a member that is in the room already: there is no reply to wait for. */
  static resuming(connection: Connection, feed: Feed, from: Position): Cursor {
    const cursor = new Cursor(connection, feed, from, NO_REPLY);
    cursor.hasReplied = true;
    cursor.isConflating = feed.rule.slowReaders === 'latest';
    cursor.isLeaving = feed.rule.slowReaders === 'disconnect';
    return cursor;
  }

  /** Whether it may not take its first step yet: where it begins is being looked up. */
  get isHeld(): boolean {
    return this.#waiting !== null;
  }

  hold(): void {
    this.#waiting ??= [];
  }

  /** Has `work` done after the first step of a cursor that is held. */
  whenReleased(work: () => void): void {
    this.#waiting?.push(work);
  }

  /** Ends the holding; returns what waited for that. */
  release(): readonly (() => void)[] {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    return waiting;
  }

  /** Begins where its user does. From a start that is new nothing can be missed: it is no position that was asked for. */
  beginAt({ epoch, offset, isNew }: Start): void {
    this.acked = { epoch, offset };
    if (!isNew) this.since = [epoch, offset];
    this.epoch = epoch;
    this.offset = offset;
    this.isFresh = false;
  }

  /** Queues the reply, once; later calls do nothing. */
  begin(recovered: boolean): void {
    if (this.hasReplied) return;
    this.hasReplied = true;
    this.#reply.begun(recovered, this);
  }

  fail(failure: JoinFailure): void {
    if (this.hasReplied) return;
    this.hasReplied = true;
    this.#reply.failed(failure);
  }

  abandon(): void {
    if (this.hasReplied) return;
    this.hasReplied = true;
    this.#reply.abandoned();
  }
}

function ignore(): void {
  // Nobody asked.
}

const NO_REPLY: CursorReply = { begun: ignore, failed: ignore, abandoned: ignore };
