import type { Acked, AckPage, AckResult } from '../backplane/acks.ts';
import { type Backplane, BackplaneError } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Request } from '../connection/services.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { JoinResult, Position } from '../protocol/frames.ts';
import { RESERVED_PREFIX } from '../protocol/limits.ts';
import type { Logger } from '../util/log.ts';
import type { Cursor } from './cursor.ts';
import type { Cursors } from './cursors.ts';
import type { Feed } from './feed.ts';
import type { RoomRule } from './room-rule.ts';

export interface AckedReadingParts {
  readonly backplane: Backplane;
  readonly cursors: Cursors;
  readonly rule: (room: string) => RoomRule;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/** Acknowledged reading: keeps how far users say they have read, and lets their joins know it. */
export class AckedReading {
  readonly #parts: AckedReadingParts;

  constructor(parts: AckedReadingParts) {
    this.#parts = parts;
  }

  /** Whether it is kept in a room how far its users have read. */
  isKeptIn(room: string): boolean {
    const { acks, history } = this.#parts.rule(room);
    // Personal rooms are not joined: nobody could go on in one.
    return acks && history.messages > 0 && !room.startsWith(RESERVED_PREFIX);
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    const rule = this.#parts.rule(room);
    if (!this.isKeptIn(room)) {
      return request.fail('bad_request', 'how far users have read is not kept in this room');
    }
    this.#parts.backplane.acks
      .ack(room, rule.history, user, position)
      .then((result) => this.#settle(request, result))
      .catch((cause: unknown) => {
        const error = this.#known(cause, 'the ack could not be kept');
        this.#parts.metrics.acks.settled[error.code]++;
        request.fail(error.code, error.message);
      });
  }

  #settle(request: Request, { epoch, offset, outcome }: AckResult): void {
    this.#parts.metrics.acks.settled[outcome]++;
    if (outcome !== 'beyond') return request.ok({ epoch, offset: offset ?? 0 });
    request.fail('bad_request', 'the offset is beyond the newest message of the room');
  }

  /** Users that have read up to `from` or further; see `Acks.list`. Rejects with `BackplaneError`. */
  list(room: string, from: number | null, limit: number): Promise<AckPage> {
    const { backplane, rule } = this.#parts;
    return backplane.acks.list(room, rule(room).history, from, limit);
  }

  /**
   * Starts the cursor of a join. Where the join is to say what its user has acknowledged, the cursor is held until that is
   * known; with `resume`, that is where it begins. The first `resume` of a user keeps where the room stands as the start.
   */
  startJoin(cursor: Cursor, resume: boolean): void {
    const { cursors, metrics } = this.#parts;
    const { feed, connection } = cursor;
    if (connection.user === null || !this.isKeptIn(feed.room.name)) return cursors.start(cursor);
    cursors.hold(cursor);
    metrics.acks.reads++;
    this.#lookUp(cursor, connection.user, resume)
      // One that was stopped meanwhile has nothing to fail: its connection left, or joined anew.
      .catch((cause: unknown) => {
        const error = this.#known(cause, 'what the user has read could not be looked up');
        if (feed.cursors.has(cursor)) cursor.fail(error);
      })
      .finally(() => cursors.release(cursor));
  }

  async #lookUp(cursor: Cursor, user: string, resume: boolean): Promise<void> {
    const { acks } = this.#parts.backplane;
    const { room, rule } = cursor.feed;
    if (resume) cursor.beginAt(await acks.start(room.name, rule.history, user));
    else cursor.acked = await acks.get(room.name, rule.history, user);
  }

  /** The connection's join of this room, while it waits for what its user has acknowledged. */
  heldJoin(connection: Connection, feed: Feed): Cursor | null {
    if (feed.cursors.size === 0) return null;
    const cursor = this.#parts.cursors.find(connection, feed);
    return cursor?.isHeld ? cursor : null;
  }

  #known(cause: unknown, message: string): BackplaneError {
    if (cause instanceof BackplaneError) return cause;
    this.#parts.log.error({ error: cause }, message);
    return new BackplaneError('internal', 'acks', message, { cause });
  }
}

/** The part of a join's result that says what its user has acknowledged in the feed's epoch. */
export function ackedIn(feed: Feed, acked: Acked | null): Pick<JoinResult, 'acked'> {
  if (acked === null) return {};
  return { acked: acked.epoch === feed.epoch ? acked.offset : null };
}
