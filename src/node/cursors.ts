import { type Backplane, BackplaneError, type HistoryPage } from '../backplane/backplane.ts';
import type { Envelope } from '../backplane/envelope.ts';
import type { Connection } from '../connection/connection.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { CLOSE } from '../protocol/codes.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler } from '../util/scheduler.ts';
import { type Cursor, MAX_PAGE_MESSAGES } from './cursor.ts';
import type { Feed } from './feed.ts';
import { transcode } from './transcode.ts';

/** Bytes fed to one connection in one turn: others get theirs in between. */
const BYTES_PER_TURN = 256 * 1024;
/** With more than this waiting for the peer, a cursor waits too. */
const BUFFERED_BYTES = 256 * 1024;
/** Reads of history on behalf of cursors at one time; those beyond wait in line. */
const READS_AT_ONCE = 64;
/** How long a cursor whose read failed waits before it tries again. */
const RETRY_MS = 500;

export interface CursorsParts {
  readonly nodeId: string;
  readonly backplane: Backplane;
  readonly metrics: NodeMetrics;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  /** Publishes what a feed has pending, after all replies that must come before it. */
  readonly flushFeed: (feed: Feed) => void;
  /** Has a feed look for what it missed. Never rejects; harmless while someone is at it. */
  readonly repair: (feed: Feed) => Promise<void>;
}

/** Feeds the members that are catching up. See `Cursor`. */
export class Cursors {
  readonly #parts: CursorsParts;
  readonly #byConnection = new Map<Connection, Set<Cursor>>();
  #reads = 0;
  #waiting: Cursor[] = [];

  constructor(parts: CursorsParts) {
    this.#parts = parts;
  }

  get count(): number {
    let count = 0;
    for (const cursors of this.#byConnection.values()) count += cursors.size;
    return count;
  }

  /** Starts to feed a cursor; its connection must not be on the topic. */
  start(cursor: Cursor): void {
    if (cursor.feed.state !== 'opening' && cursor.isFresh) {
      // The common case, a join without a position in a room that is live here: nothing to catch up with.
      cursor.begin(true);
      return this.#goLive(cursor);
    }
    this.#add(cursor);
    if (cursor.feed.state === 'opening') cursor.feed.whenOpened(() => this.#advance(cursor));
    else this.#advance(cursor);
  }

  /** Keeps a cursor in its room without a step until `release`; it may be stopped, and its feed may open, meanwhile. */
  hold(cursor: Cursor): void {
    cursor.hold();
    this.#add(cursor);
  }

  /** What waited for the cursor follows its first step, also where it was stopped and takes none. */
  release(cursor: Cursor): void {
    const waiting = cursor.release();
    if (cursor.feed.state === 'opening') cursor.feed.whenOpened(() => this.#advance(cursor));
    else this.#advance(cursor);
    for (const work of waiting) work();
  }

  /** Starts a cursor that takes its first step later: this is called while a feed is being fanned out. */
  park(cursor: Cursor): void {
    this.#add(cursor);
    this.#parts.scheduler.atEndOfTurn(() => this.#advance(cursor));
  }

  #add(cursor: Cursor): void {
    cursor.feed.cursors.add(cursor);
    const known = this.#byConnection.get(cursor.connection);
    if (known) known.add(cursor);
    else this.#byConnection.set(cursor.connection, new Set([cursor]));
  }

  /** Whether the connection is catching up in this feed. */
  find(connection: Connection, feed: Feed): Cursor | null {
    for (const cursor of this.#byConnection.get(connection) ?? []) if (cursor.feed === feed) return cursor;
    return null;
  }

  stop(cursor: Cursor): void {
    cursor.feed.cursors.delete(cursor);
    const known = this.#byConnection.get(cursor.connection);
    known?.delete(cursor);
    if (known?.size === 0) this.#byConnection.delete(cursor.connection);
  }

  /** The connection is gone. */
  stopAll(connection: Connection): void {
    for (const cursor of [...(this.#byConnection.get(connection) ?? [])]) this.stop(cursor);
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    for (const cursor of [...(this.#byConnection.get(connection) ?? [])]) this.#advance(cursor);
  }

  #isActive(cursor: Cursor): boolean {
    return cursor.connection.isOpen && cursor.feed.cursors.has(cursor);
  }

  /** One step: feeds what is at hand, reads what is not, or moves the connection to the topic. */
  #advance(cursor: Cursor): void {
    if (!this.#isActive(cursor) || cursor.isHeld || cursor.isReading || isBehind(cursor.connection)) return;
    if (cursor.isLeaving) return leave(cursor.connection);
    const { feed } = cursor;
    if (cursor.isFresh || !feed.keepsHistory) {
      cursor.isFresh = false;
      cursor.epoch = feed.epoch;
      cursor.offset = feed.offset;
    }
    const skips = cursor.isConflating && cursor.epoch === feed.epoch && cursor.offset < feed.offset - 1;
    if (skips) this.#gap(cursor, feed.offset - 1);
    if (this.#isAtHand(cursor)) {
      cursor.begin(true);
      this.#feed(cursor, feed.recent.after(cursor.offset, BYTES_PER_TURN));
    } else this.#read(cursor);
  }

  /** Whether the node remembers all that the cursor lacks. */
  #isAtHand({ epoch, offset, feed }: Cursor): boolean {
    if (epoch !== feed.epoch || offset > feed.offset) return false;
    return feed.recent.covers(offset, feed.offset, this.#parts.scheduler.nowMs());
  }

  /** Feeds envelopes that follow on, as much as a turn allows, and goes on from there. */
  #feed(cursor: Cursor, envelopes: readonly Envelope[]): void {
    let bytes = 0;
    for (const envelope of envelopes) {
      if (bytes > BYTES_PER_TURN) break;
      bytes += this.#feedOne(cursor, envelope);
    }
    if (cursor.offset >= cursor.feed.offset) this.#goLive(cursor);
    // Others get their turn first. A connection that does not read wakes its cursors when it drains.
    else this.#parts.scheduler.atEndOfTurn(() => this.#advance(cursor));
  }

  /** Same tick: nothing of the room can come between the last frame fed and the topic. */
  #goLive(cursor: Cursor): void {
    const { connection, feed } = cursor;
    this.#parts.flushFeed(feed);
    this.stop(cursor);
    connection.socket.subscribe(feed.room.topic(connection.readsText));
  }

  /** Reads for a cursor, or has it wait for its turn: a storm of returning clients must not become one of reads. */
  #read(cursor: Cursor): void {
    if (this.#reads >= READS_AT_ONCE) {
      this.#waiting.push(cursor);
      return;
    }
    this.#reads++;
    cursor.isReading = true;
    this.#readFor(cursor)
      .finally(() => {
        cursor.isReading = false;
        this.#reads--;
      })
      .then(() => this.#advance(cursor))
      .catch((error: unknown) => this.#retry(cursor, error))
      .finally(() => this.#readNext());
  }

  /** What was read meanwhile may serve the next one too. */
  #readNext(): void {
    while (this.#reads < READS_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#advance(next);
    }
  }

  #retry(cursor: Cursor, error: unknown): void {
    if (error instanceof BackplaneError) cursor.fail(error);
    this.#parts.log.warn({ error }, 'a member could not be caught up yet');
    this.#parts.scheduler.after(RETRY_MS, () => this.#advance(cursor));
  }

  async #readFor(cursor: Cursor): Promise<void> {
    const { feed } = cursor;
    if (cursor.epoch !== feed.epoch) return this.#restart(cursor);
    if (cursor.offset > feed.offset) return this.#reach(cursor);
    if (wouldPrime(cursor)) await this.#prime(feed);
    if (!this.#isActive(cursor) || this.#isAtHand(cursor)) return;
    const page = await this.#page(feed, cursor.offset, cursor.pageMessages);
    if (!this.#isActive(cursor)) return;
    const available = page.envelopes[0]?.first ?? page.offset + 1;
    // The page may know more than the feed: what is beyond the feed's offset comes with the topic.
    if (available > cursor.offset + 1) this.#gap(cursor, Math.min(available - 1, feed.offset));
    cursor.begin(true);
    this.#feedPage(cursor, page.envelopes);
  }

  /** Reads the history of a room into the node's memory, once for all who come back together. */
  #prime(feed: Feed): Promise<void> {
    feed.priming ??= this.#readRecent(feed).finally(() => {
      feed.priming = null;
    });
    return feed.priming;
  }

  async #readRecent(feed: Feed): Promise<void> {
    const upTo = (feed.recent.first ?? feed.offset + 1) - 1;
    const depth = Math.min(feed.rule.history.messages, MAX_PAGE_MESSAGES);
    const page = await this.#page(feed, Math.max(0, upTo - depth), depth);
    feed.recent.prepend(page.envelopes, feed.offset, this.#parts.scheduler);
  }

  /** A page of the feed's epoch. Where the room has another by now, the feed has to learn that first. */
  async #page(feed: Feed, after: number, limit: number): Promise<HistoryPage> {
    const page = await this.#parts.backplane.read(feed.room.name, feed.rule.history, { after, limit });
    this.#parts.metrics.recovery.historyReads++;
    if (page.epoch === feed.epoch) return page;
    void this.#parts.repair(feed);
    throw new Error('the room began a new epoch during a read');
  }

  /**
   * The position is ahead of the feed. Mostly it is the feed that is behind: its newest messages are on their way here, while
   * another node has delivered them. Else the store lost them.
   */
  async #reach(cursor: Cursor): Promise<void> {
    const { offset } = await this.#page(cursor.feed, 0, 0);
    if (offset < cursor.offset) return this.#restart(cursor);
    await this.#parts.repair(cursor.feed);
  }

  /** The numbering that the client knows is over: it forgets its position, and gets all that the present one holds. */
  async #restart(cursor: Cursor): Promise<void> {
    const { connection, feed } = cursor;
    const page = await this.#page(feed, 0, 1);
    if (!this.#isActive(cursor)) return;
    const start = Math.min((page.envelopes[0]?.first ?? page.offset + 1) - 1, feed.offset);
    cursor.begin(false);
    connection.push(['reset', feed.room.name, feed.epoch, start]);
    connection.flushBeforeMessages();
    cursor.epoch = feed.epoch;
    cursor.offset = start;
  }

  /**
   * Feeds a page, as much of it as a turn allows: what a connection is given at once is kept here until its peer has read it.
   * The next page is then one that fits.
   */
  #feedPage(cursor: Cursor, envelopes: readonly Envelope[]): void {
    const before = cursor.offset;
    let bytes = 0;
    for (const envelope of envelopes) {
      if (envelope.last <= cursor.offset) continue;
      if (envelope.last > cursor.feed.offset || bytes > BYTES_PER_TURN) break;
      // A page has no holes, unless the store lost something.
      if (envelope.first > cursor.offset + 1) this.#gap(cursor, envelope.first - 1);
      bytes += this.#feedOne(cursor, envelope);
    }
    if (bytes > BYTES_PER_TURN) cursor.pageMessages = Math.max(1, cursor.offset - before);
    else if (bytes < BYTES_PER_TURN / 2)
      cursor.pageMessages = Math.min(MAX_PAGE_MESSAGES, cursor.pageMessages * 2);
  }

  #feedOne(cursor: Cursor, envelope: Envelope): number {
    const { connection } = cursor;
    const frames = this.#framesFor(cursor, envelope);
    this.#parts.metrics.recovery.recovered += envelope.last - Math.max(cursor.offset, envelope.first - 1);
    cursor.offset = envelope.last;
    const message = connection.readsText ? transcode(frames, this.#parts.metrics) : frames;
    if (message !== null && message.length > 0) {
      connection.queue(message);
      connection.flushBeforeMessages();
    }
    return frames.length;
  }

  /** A publisher that asked for no echo of a message does not get it by catching up either. */
  #framesFor({ connection, offset }: Cursor, envelope: Envelope): Uint8Array {
    if (!envelope.hasExcludes || envelope.origin !== this.#parts.nodeId) return envelope.after(offset);
    const frames: Buffer[] = [];
    for (let i = 0; i < envelope.count; i++) {
      const isNew = envelope.first + i > offset;
      if (isNew && envelope.excluded(i) !== connection.number) frames.push(envelope.slice(i, i + 1));
    }
    return Buffer.concat(frames);
  }

  #gap(cursor: Cursor, to: number): void {
    cursor.begin(false);
    this.#parts.metrics.recovery.gaps++;
    cursor.connection.push(['gap', cursor.feed.room.name, cursor.offset + 1, to]);
    cursor.connection.flushBeforeMessages();
    cursor.offset = to;
  }
}

/**
 * Whether the node can come to remember all that a cursor lacks. Reading in front of a memory that is full would be in vain,
 * and is done at each step of each cursor: with messages of 16 KiB it read 8 MB from Redis for each 256 KiB fed.
 */
function wouldPrime({ feed, offset }: Cursor): boolean {
  const { first } = feed.recent;
  if (first === null) return true;
  const lacking = first - 1 - offset;
  return lacking <= MAX_PAGE_MESSAGES && feed.recent.hasRoomFor(lacking);
}

/** Ends a connection whose queue is empty; one whose queue is not is asked again when it drains. */
function leave(connection: Connection): void {
  if (connection.socket.bufferedBytes() === 0) connection.close(CLOSE.tooSlow);
}

/** Whether so much waits for the connection's peer that more would only be kept here. Its socket tells when it drains. */
function isBehind(connection: Connection): boolean {
  return connection.isStalled || connection.socket.bufferedBytes() > BUFFERED_BYTES;
}
