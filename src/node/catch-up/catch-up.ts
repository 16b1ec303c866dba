import { BackplaneError } from '../../backplane/backplane.ts';
import type { Connection } from '../../connection/connection.ts';
import { CLOSE } from '../../protocol/codes.ts';
import type { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Logger } from '../../util/log.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';
import { enterTopics, hearMembers } from '../rooms/topics.ts';
import { type Cursor, MAX_PAGE_MESSAGES } from './cursor.ts';
import { Feeder, type FeederParts } from './feeder.ts';
import { lacksTooMuch, type Step } from './next-step.ts';
import { type CountBytes, Pages, type PagesParts } from './pages.ts';
import { Portions } from './portions.ts';
import { ReadSlots } from './read-slots.ts';

/** Maximum concurrent reads of history for cursors. */
const READS_AT_ONCE = 64;
/** How long a cursor waits after a failed read before it tries again. */
const RETRY_MS = 500;

export interface CatchUpParts extends Omit<FeederParts, 'portions'>, Omit<PagesParts, 'clock'> {
  readonly endOfTurn: Pick<EndOfTurn, 'number'>;
  /** Bytes that one connection may catch up with a second for long; 0: no limit. */
  readonly catchUpBytesPerSecond: number;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Whether the member is told of other members. Asked in rooms with member events. */
  hearsMembers(connection: Connection, feed: Feed): boolean;
  /** The member is on its topic from now on; it may have been fed for a while. */
  wentLive(connection: Connection, feed: Feed): void;
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
  readonly #portions: Portions;
  /** Those that go on in the next turn. First come those that had none of this one. */
  #hungry: Cursor[] = [];
  #served: Cursor[] = [];
  /** Connections that wait until what they were given is paid for. */
  readonly #owing = new WeakSet<Connection>();
  #count = 0;

  constructor(parts: CatchUpParts) {
    const { endOfTurn, scheduler, catchUpBytesPerSecond } = parts;
    this.#parts = parts;
    this.#portions = new Portions({ endOfTurn, clock: scheduler, bytesPerSecond: catchUpBytesPerSecond });
    this.#feeder = new Feeder({ ...parts, portions: this.#portions });
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

  /** A member may no longer have what its join asked for: what it has not been given yet, it does not get. */
  cut(connection: Connection, feed: Feed): void {
    const cursor = this.find(connection, feed);
    if (cursor?.isReplay) cursor.isCut = true;
  }

  #counted({ connection, feed }: Cursor, by: 1 | -1): void {
    this.#count += by;
    if (connection.encoding === 'msgpack') feed.binaryBehind += by;
    else if (connection.encoding === 'json') feed.textBehind += by;
    else feed.eventsBehind += by;
  }

  #isFiled(cursor: Cursor): boolean {
    return this.#byConnection.get(cursor.connection)?.includes(cursor) ?? false;
  }

  // ---- what makes them take a step -------------------------------------------------------------------------

  /** Takes a cursor's first step. Its feed must be open. */
  start(cursor: Cursor): void {
    cursor.hasStarted = true;
    // The common case, a join without a position in a room that is live here: nothing to catch up with, and
    // nothing to file.
    if (this.#stepOf(cursor) === 'begin') return this.#begin(cursor);
    if (!this.#isFiled(cursor)) this.add(cursor);
    this.#advance(cursor);
  }

  /** Files a cursor that takes its first step later: a room is being delivered right now. */
  startNextTurn(cursor: Cursor): void {
    cursor.hasStarted = true;
    this.add(cursor);
    this.#advanceNextTurn(cursor);
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    for (const cursor of [...(this.#byConnection.get(connection) ?? [])]) this.#advance(cursor);
  }

  #advanceNextTurn(cursor: Cursor, isHungry = false): void {
    if (this.#hungry.length + this.#served.length === 0) {
      this.#parts.scheduler.atEndOfTurn(() => this.#serve());
    }
    (isHungry ? this.#hungry : this.#served).push(cursor);
  }

  #serve(): void {
    const cursors = [...this.#hungry, ...this.#served];
    this.#hungry = [];
    this.#served = [];
    this.#portions.nextTurn();
    for (const cursor of cursors) this.#advance(cursor);
  }

  /** Whether the connection of a cursor may be given something now; else the cursor is looked at again when it may. */
  #mayGive(cursor: Cursor): boolean {
    const { connection } = cursor;
    const waitMs = this.#portions.waitMs(connection);
    if (waitMs > 0) {
      this.#advanceLater(connection, waitMs);
      return false;
    }
    if (this.#portions.left(connection) > 0) return true;
    this.#advanceNextTurn(cursor, true);
    return false;
  }

  #advanceLater(connection: Connection, waitMs: number): void {
    if (this.#owing.has(connection)) return;
    this.#owing.add(connection);
    this.#parts.scheduler.after(waitMs, () => {
      this.#owing.delete(connection);
      this.drained(connection);
    });
  }

  // ---- a step ----------------------------------------------------------------------------------------------

  #stepOf(cursor: Cursor): Step {
    return cursor.nextStep(this.#parts.scheduler.nowMs());
  }

  #advance(cursor: Cursor): void {
    const { connection, feed } = cursor;
    if (!cursor.hasStarted || cursor.isReading || !this.#isFiled(cursor)) return;
    if (!connection.isOpen || connection.isBehind) return;
    const step = this.#stepOf(cursor);
    switch (step) {
      case 'leave':
        return leave(connection);
      case 'next turn':
        return this.#advanceNextTurn(cursor);
      case 'begin':
        return this.#begin(cursor);
      case 'newest':
        if (!this.#mayGive(cursor)) return;
        cursor.startAfter([feed.sentEpoch, feed.sentOffset]);
        this.#feeder.feedNewest(cursor, this.#parts.scheduler.nowMs());
        return this.#goLive(cursor);
      case 'enter':
        // One that has to wait goes on without a position: what comes meanwhile makes other messages the newest.
        if (!this.#mayGive(cursor)) return;
        cursor.startAfter([feed.epoch, cursor.newestStart(feed.recent.goneUpTo)]);
        return this.#feed(cursor);
      case 'limit':
        this.#limit(cursor, feed.recent.goneUpTo);
        return this.#advance(cursor);
      case 'go live':
        return this.#goLive(cursor);
      case 'skip':
        this.#feeder.gap(cursor, feed.sentOffset - 1, 'skipped');
        return this.#advance(cursor);
      case 'cut':
        this.#feeder.gap(cursor, feed.sentOffset, 'forbidden');
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
    enterTopics(connection, feed);
    if (feed.hasMemberEvents) hearMembers(connection, feed, this.#parts.hearsMembers(connection, feed));
    this.#parts.wentLive(connection, feed);
  }

  /** Leaves out all but the newest messages that the cursor asked for; what of that can no longer be had is named by itself. */
  #limit(cursor: Cursor, goneUpTo: number): void {
    const { sentOffset } = cursor.feed;
    const gone = Math.min(goneUpTo, sentOffset);
    const upTo = Math.max(gone, sentOffset - (cursor.last ?? sentOffset) - cursor.replaced);
    cursor.begin(false, upTo);
    if (gone > cursor.offset) this.#feeder.gap(cursor, gone, 'expired');
    if (upTo > cursor.offset) this.#feeder.gap(cursor, upTo, 'limited');
  }

  #feed(cursor: Cursor): void {
    if (!this.#mayGive(cursor)) return;
    cursor.begin(true);
    this.#feeder.feedRemembered(cursor);
    if (this.#stepOf(cursor) === 'go live') this.#goLive(cursor);
    // Others get their turn first. A connection that does not read wakes its cursors when it drains.
    else this.#advanceNextTurn(cursor);
  }

  // ---- what has to be read ---------------------------------------------------------------------------------

  #read(cursor: Cursor, step: ReadStep): void {
    const { connection, feed } = cursor;
    const passed = step === 'read' && !cursor.isFresh ? feed.recent.passesTo(cursor.offset) : null;
    if (passed !== null) return this.#pass(cursor, passed);
    if (!this.#mayGive(cursor) || !this.#portions.mayRead(connection) || !this.#slots.take(cursor)) return;
    let bytes = 0;
    cursor.isReading = true;
    this.#portions.readBegan(connection);
    this.#reading(cursor, step, (read) => {
      bytes += read;
    })
      .finally(() => {
        cursor.isReading = false;
        this.#portions.readEnded(connection, bytes);
      })
      // Others of the connection may have waited for this read to end.
      .then(() => this.drained(connection))
      .catch((error: unknown) => this.#retry(cursor, error))
      .finally(() => this.#slots.free());
  }

  /** What is missing up to this offset was all replaced: there is no need to read it. */
  #pass(cursor: Cursor, upTo: number): void {
    const { feed } = cursor;
    if (lacksTooMuch(cursor, feed, cursor.replaced)) {
      this.#limit(cursor, Math.min(cursor.offset, feed.recent.goneUpTo));
      return this.#advance(cursor);
    }
    cursor.begin(true);
    this.#feeder.gap(cursor, upTo, 'replaced');
    this.#advance(cursor);
  }

  #reading(cursor: Cursor, step: ReadStep, count: CountBytes): Promise<void> {
    if (step === 'restart') return this.#restart(cursor, count);
    return step === 'reach' ? this.#reach(cursor, count) : this.#readPage(cursor, count);
  }

  #retry(cursor: Cursor, error: unknown): void {
    if (error instanceof BackplaneError) cursor.fail(error);
    this.#parts.log.warn({ error }, 'cannot catch a member up yet');
    this.#parts.scheduler.after(RETRY_MS, () => this.drained(cursor.connection));
  }

  async #readPage(cursor: Cursor, count: CountBytes): Promise<void> {
    const { feed, connection } = cursor;
    const remembered = feed.recent.first;
    await this.#pages.prime(feed, this.#readsAfter(cursor), count);
    if (!this.#isFiled(cursor) || this.#stepOf(cursor) !== 'read') return;
    // What it wants may begin before what was loaded, where much of that is replaced: looks again.
    if (cursor.isFresh && cursor.replaced > 0 && feed.recent.first !== remembered) return;
    // Of what it is not going to get only the oldest matters: it tells what is left out from what is gone.
    const limit = lacksTooMuch(cursor, feed, cursor.replaced) ? 1 : MAX_PAGE_MESSAGES;
    const limits = { limit, bytes: connection.fillBytes };
    const page = await this.#pages.read(feed, this.#readsAfter(cursor), limits, count);
    // It may have been cut meanwhile, or its numbering may have ended: the page is of the one that the room has now.
    const isOfItsEpoch = page.epoch === feed.sentEpoch && (cursor.isFresh || page.epoch === cursor.epoch);
    if (!this.#isFiled(cursor) || !isOfItsEpoch || cursor.isCut) return;
    const gone = Math.min((page.envelopes[0]?.first ?? page.offset + 1) - 1, feed.sentOffset);
    if (cursor.isFresh) cursor.startAfter([page.epoch, cursor.newestStart(gone)]);
    else if (lacksTooMuch(cursor, feed, cursor.replaced)) return this.#limit(cursor, gone);
    else if (gone > cursor.offset) this.#feeder.gap(cursor, gone, 'expired');
    cursor.begin(true);
    this.#feeder.feedPage(cursor, page.envelopes);
  }

  /** The offset after which it needs messages. */
  #readsAfter(cursor: Cursor): number {
    const { feed } = cursor;
    return cursor.isFresh ? cursor.newestStart(feed.recent.goneUpTo) : cursor.offset;
  }

  /**
   * The position is ahead of the feed. Usually the feed is behind: its newest messages are on their way here,
   * and another node has already delivered them. Otherwise the store lost them.
   */
  async #reach(cursor: Cursor, count: CountBytes): Promise<void> {
    const { offset } = await this.#pages.read(cursor.feed, 0, { limit: 0 }, count);
    if (offset < cursor.offset) return this.#restart(cursor, count);
    await this.#parts.feeds.reach(cursor.feed);
  }

  /** The client gets all that the present epoch holds, or the newest of it that it asked for. */
  async #restart(cursor: Cursor, count: CountBytes): Promise<void> {
    const { feed } = cursor;
    const page = await this.#pages.read(feed, 0, { limit: 1 }, count);
    if (!this.#isFiled(cursor) || page.epoch !== feed.sentEpoch) return;
    const oldest = page.envelopes[0]?.first ?? page.offset + 1;
    const gone = Math.min(oldest - 1, feed.sentOffset);
    const isLimited = !cursor.hasBegun && cursor.last !== null;
    const upTo = isLimited ? cursor.newestStart(gone) : gone;
    this.#feeder.reset(cursor, page.epoch, upTo);
  }
}

type ReadStep = 'read' | 'reach' | 'restart';

/** Closes a connection whose queue is empty; one with a full queue is closed when it drains. */
function leave(connection: Connection): void {
  if (connection.socket.bufferedBytes() === 0) connection.close(CLOSE.tooSlow);
}
