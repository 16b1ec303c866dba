import type { BackplaneError } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Position } from '../protocol/frames.ts';
import type { Feed } from './feed.ts';

/** How a cursor tells its join what became of it: one of the two is called, once. */
export interface CursorReply {
  /** Everything after the position asked for will follow, or (`recovered` false) some could not be had. */
  begun(recovered: boolean): void;
  failed(error: BackplaneError): void;
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
  /** It has no position of its own yet: it starts where the room stands. */
  isFresh: boolean;
  /** Whether its join was answered; nothing may be fed before. */
  hasReplied = false;
  /** A read of history is under way. */
  isReading = false;
  /** It skips to the newest message instead of catching up with all of them. */
  isConflating = false;
  readonly #reply: CursorReply;

  /** `since` null begins at the live offset. */
  constructor(connection: Connection, feed: Feed, since: Position | null, reply: CursorReply) {
    this.connection = connection;
    this.feed = feed;
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
    return cursor;
  }

  /** Queues the reply, once; later calls do nothing. */
  begin(recovered: boolean): void {
    if (this.hasReplied) return;
    this.hasReplied = true;
    this.#reply.begun(recovered);
  }

  fail(error: BackplaneError): void {
    if (this.hasReplied) return;
    this.hasReplied = true;
    this.#reply.failed(error);
  }
}

function ignore(): void {
  // Nobody asked.
}

const NO_REPLY: CursorReply = { begun: ignore, failed: ignore };
