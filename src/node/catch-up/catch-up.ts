import { BackplaneError } from '../../backplane/backplane.ts';
import type { Connection } from '../../connection/connection.ts';
import { CLOSE } from '../../protocol/codes.ts';
import type { Logger } from '../../util/log.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Cursor } from './cursor.ts';
import { Feeder, type FeederParts } from './feeder.ts';
import { nextStep, type Step } from './next-step.ts';
import { Pages, type PagesParts } from './pages.ts';
import { ReadSlots } from './read-slots.ts';

/** Maximum concurrent reads of history for cursors. */
const READS_AT_ONCE = 64;
/** How long a cursor waits after a failed read before it tries again. */
const RETRY_MS = 500;

export interface CatchUpParts extends FeederParts, Omit<PagesParts, 'clock'> {
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/**
 * The members that are catching up: feeds each until it can rejoin the others. See `Cursor` and `nextStep`.
 */
export class CatchUp {
  readonly #parts: CatchUpParts;
  readonly #feeder: Feeder;
  readonly #pages: Pages;
  readonly #slots = new ReadSlots<Cursor>(READS_AT_ONCE, (cursor) => this.#advance(cursor));
  readonly #byConnection = new Map<Connection, Cursor[]>();
  #count = 0;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
    this.#feeder = new Feeder(parts);
    this.#pages = new Pages({ ...parts, clock: parts.scheduler });
  }

  get count(): number {
    return this.#count;
  }

  // ---- who is catching up ----------------------------------------------------------------------------------

  /** Files a cursor, whose connection must not be on the topic. It takes no step before `start`. */
  add(cursor: Cursor): void {
    const known = this.#byConnection.get(cursor.connection);
    if (known) known.push(cursor);
    else this.#byConnection.set(cursor.connection, [cursor]);
    this.#counted(cursor, 1);
  }

  find(connection: Connection, feed: Feed): Cursor | null {
    return this.#byConnection.get(connection)?.find((cursor) => cursor.feed === feed) ?? null;
  }

  /** Forgets a cursor: it takes no further step. Harmless if it is already forgotten. */
  stop(cursor: Cursor): void {
    const known = this.#byConnection.get(cursor.connection);
    const at = known?.indexOf(cursor) ?? -1;
    if (known === undefined || at === -1) return;
    known.splice(at, 1);
    if (known.length === 0) this.#byConnection.delete(cursor.connection);
    this.#counted(cursor, -1);
  }

  #counted({ connection, feed }: Cursor, by: 1 | -1): void {
    this.#count += by;
    if (connection.readsText) feed.textBehind += by;
    else feed.binaryBehind += by;
  }

  #isFiled(cursor: Cursor): boolean {
    return this.#byConnection.get(cursor.connection)?.includes(cursor) ?? false;
  }

  // ---- what makes them take a step -------------------------------------------------------------------------

  /** Takes a cursor's first step. Its feed must be open. */
  start(cursor: Cursor): void {
    // The common case, a join without a position in a room that is live here: nothing to catch up with, and
    // nothing to file.
    if (this.#stepOf(cursor) === 'begin') return this.#begin(cursor);
    if (!this.#isFiled(cursor)) this.add(cursor);
    this.#advance(cursor);
  }

  /** Files a cursor that takes its first step later: a room is being delivered right now. */
  startNextTurn(cursor: Cursor): void {
    this.add(cursor);
    this.#advanceNextTurn(cursor);
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    for (const cursor of [...(this.#byConnection.get(connection) ?? [])]) this.#advance(cursor);
  }

  #advanceNextTurn(cursor: Cursor): void {
    this.#parts.scheduler.atEndOfTurn(() => this.#advance(cursor));
  }

  // ---- a step ----------------------------------------------------------------------------------------------

  #stepOf(cursor: Cursor): Step {
    const { feed } = cursor;
    return nextStep(cursor, feed, feed.recent.oldest(this.#parts.scheduler.nowMs()));
  }

  #advance(cursor: Cursor): void {
    const { connection, feed } = cursor;
    if (!connection.isOpen || cursor.isReading || connection.isBehind || !this.#isFiled(cursor)) return;
    const step = this.#stepOf(cursor);
    switch (step) {
      case 'leave':
        return leave(connection);
      case 'next turn':
        return this.#advanceNextTurn(cursor);
      case 'begin':
        return this.#begin(cursor);
      case 'go live':
        return this.#goLive(cursor);
      case 'skip':
        this.#feeder.gap(cursor, feed.sentOffset - 1);
        return this.#advance(cursor);
      case 'adopt':
        cursor.startAfter([feed.epoch, 0]);
        return this.#advance(cursor);
      case 'feed':
        return this.#feed(cursor);
      default:
        return this.#read(cursor, step);
    }
  }

  #begin(cursor: Cursor): void {
    cursor.startAfter([cursor.feed.sentEpoch, cursor.feed.sentOffset]);
    this.#goLive(cursor);
  }

  /**
   * From here on the topic delivers: what is pending in the feed leaves at the end of the turn, after the
   * replies.
   */
  #goLive(cursor: Cursor): void {
    const { connection, feed } = cursor;
    cursor.begin(true);
    this.stop(cursor);
    connection.socket.subscribe(feed.room.topic(connection.readsText));
  }

  #feed(cursor: Cursor): void {
    cursor.begin(true);
    this.#feeder.feedRemembered(cursor);
    if (this.#stepOf(cursor) === 'go live') this.#goLive(cursor);
    // Others get their turn first. A connection that does not read wakes its cursors when it drains.
    else this.#advanceNextTurn(cursor);
  }

  // ---- what has to be read ---------------------------------------------------------------------------------

  #read(cursor: Cursor, step: 'read' | 'reach' | 'restart'): void {
    if (!this.#slots.take(cursor)) return;
    cursor.isReading = true;
    this.#reading(cursor, step)
      .finally(() => {
        cursor.isReading = false;
      })
      .then(() => this.#advance(cursor))
      .catch((error: unknown) => this.#retry(cursor, error))
      .finally(() => this.#slots.free());
  }

  #reading(cursor: Cursor, step: 'read' | 'reach' | 'restart'): Promise<void> {
    if (step === 'restart') return this.#restart(cursor);
    return step === 'reach' ? this.#reach(cursor) : this.#readPage(cursor);
  }

  #retry(cursor: Cursor, error: unknown): void {
    if (error instanceof BackplaneError) cursor.fail(error);
    this.#parts.log.warn({ error }, 'cannot catch a member up yet');
    this.#parts.scheduler.after(RETRY_MS, () => this.#advance(cursor));
  }

  async #readPage(cursor: Cursor): Promise<void> {
    const { feed } = cursor;
    await this.#pages.prime(feed, cursor.offset);
    if (!this.#isFiled(cursor) || this.#stepOf(cursor) !== 'read') return;
    const page = await this.#pages.read(feed, cursor.offset, cursor.pageMessages);
    if (!this.#isFiled(cursor) || page.epoch !== feed.sentEpoch) return;
    const available = page.envelopes[0]?.first ?? page.offset + 1;
    if (available > cursor.offset + 1) this.#feeder.gap(cursor, Math.min(available - 1, feed.sentOffset));
    cursor.begin(true);
    this.#feeder.feedPage(cursor, page.envelopes);
  }

  /**
   * The position is ahead of the feed. Usually the feed is behind: its newest messages are on their way here,
   * and another node has already delivered them. Otherwise the store lost them.
   */
  async #reach(cursor: Cursor): Promise<void> {
    const { offset } = await this.#pages.read(cursor.feed, 0, 0);
    if (offset < cursor.offset) return this.#restart(cursor);
    await this.#parts.feeds.repair(cursor.feed);
  }

  /** The client gets everything in the current epoch, from its oldest message. */
  async #restart(cursor: Cursor): Promise<void> {
    const { feed } = cursor;
    const page = await this.#pages.read(feed, 0, 1);
    if (!this.#isFiled(cursor) || page.epoch !== feed.sentEpoch) return;
    const oldest = page.envelopes[0]?.first ?? page.offset + 1;
    this.#feeder.reset(cursor, page.epoch, Math.min(oldest - 1, feed.sentOffset));
  }
}

/** Closes a connection whose queue is empty; one with a full queue is closed when it drains. */
function leave(connection: Connection): void {
  if (connection.socket.bufferedBytes() === 0) connection.close(CLOSE.tooSlow);
}
