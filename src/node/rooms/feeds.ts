import { BackplaneError } from '../../backplane/backplane.ts';
import type { Envelope } from '../../backplane/envelope.ts';
import type { RoomRule } from '../../config/room-rule.ts';
import type { Room } from '../../hub/room.ts';
import type { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import { Feed } from './feed.ts';
import { FeedRepair, type FeedRepairParts } from './feed-repair.ts';
import type { NewestPerKey, StoredNewest } from './newest-per-key.ts';
import { RECONNECT_MS, RecentMemory } from './recent.ts';
import type { Unechoed } from './unechoed.ts';

/** Maximum feeds checked at once. */
const CHECKED_AT_ONCE = 500;
/** Maximum feeds read at once after their reads failed: as long as one fails, Redis has trouble. */
const RETRIED_AT_ONCE = 50;
/** A room's messages arrive here within this time, or its subscription counts as lost. */
const ARRIVAL_MS = 1_000;

export interface FeedsParts extends FeedRepairParts {
  readonly scheduler: Scheduler;
  readonly rule: (room: string) => RoomRule;
  readonly unechoed: Unechoed;
  /** Requested when there is something to deliver. */
  readonly endOfTurn: EndOfTurn;
  /** A room was deaf and is subscribed again: what is told there besides messages was missed, too. */
  readonly resubscribed: (feed: Feed) => void;
}

/**
 * The feeds of all rooms that have members here. A feed passes on envelopes that follow, without gaps or
 * repeats; others are held until the hole has been read from history. Opening a feed and repairing one is the
 * same work: read from a position, then take what was held.
 */
export class Feeds {
  readonly #parts: FeedsParts;
  readonly #repair: FeedRepair;
  readonly #feeds = new Map<string, Feed>();
  /** Feeds with something to deliver. */
  #dirty: Feed[] = [];
  #nextCheck = 0;
  /** Feeds whose last read failed, the one that failed last at the end: until one succeeds their members wait. */
  readonly #unread = new Set<Feed>();
  #isRetrying = false;
  readonly #recent = new RecentMemory();

  constructor(parts: FeedsParts) {
    this.#parts = parts;
    this.#repair = new FeedRepair(parts);
  }

  get(room: string): Feed | undefined {
    return this.#feeds.get(room);
  }

  /** The feed of a room, opened if needed; its state says whether it is live yet. */
  open(room: Room): Feed {
    const known = this.#feeds.get(room.name);
    if (known) {
      known.idleSinceMs = null;
      return known;
    }
    const feed = new Feed(room, this.#parts.rule(room.name), this.#markDirty, this.#recent);
    this.#feeds.set(room.name, feed);
    void this.#begin(feed);
    return feed;
  }

  readonly #markDirty = (feed: Feed): void => {
    this.#dirty.push(feed);
    this.#parts.endOfTurn.request();
  };

  /** Hands over the feeds with something to deliver, in the order they became dirty. */
  takeDirty(): readonly Feed[] {
    const dirty = this.#dirty;
    if (dirty.length > 0) this.#dirty = [];
    return dirty;
  }

  /** Closes a feed that is no longer needed. */
  close(feed: Feed): void {
    if (this.#feeds.get(feed.room.name) !== feed) return;
    this.#feeds.delete(feed.room.name);
    this.#unread.delete(feed);
    feed.recent.release();
    this.#parts.backplane.unsubscribe(feed.room.name);
  }

  async #begin(feed: Feed): Promise<void> {
    const { backplane, clock } = this.#parts;
    try {
      await backplane.subscribe(feed.room.name);
      const page = await backplane.read(feed.room.name, feed.rule.history, { limit: 0, begin: true });
      feed.startAt(page.epoch, page.offset);
      if (feed.newest !== null) await this.#startNewest(feed, feed.newest);
      if (!feed.takeHeld(clock.nowMs())) {
        await this.#repair.readOn(feed);
        feed.heardTo = feed.offset;
      }
    } catch (error) {
      this.close(feed);
      feed.opened(asBackplaneError(error));
      return;
    }
    this.#live(feed);
  }

  /**
   * Messages that were sent before those that it starts with may still be on their way. Members are not owed them, and who is given
   * the newest must not get older ones after that.
   */
  async #startNewest(feed: Feed, newest: NewestPerKey): Promise<void> {
    const page = await this.#readNewest(feed);
    if (page === null) return;
    newest.start(page, this.#parts.clock.nowMs());
    if (page.messages.length === 0) return;
    await this.#parts.backplane.heard?.(feed.room.name);
    feed.dropHeldBeforeStart(newest, this.#parts.clock.nowMs());
  }

  /** Null where the backplane keeps none. */
  async #readNewest({ room, rule }: Feed): Promise<StoredNewest | null> {
    const { backplane, unechoed } = this.#parts;
    const page = await backplane.readNewest?.(room.name, rule.history);
    if (page === undefined) return null;
    const messages = page.messages.map((message) => ({
      ...message,
      exclude: unechoed.excluded(room.name, message),
    }));
    return { mark: page.mark, messages };
  }

  /**
   * Messages of a room without history may have been missed: who joins later, or is behind, is to get the newest of
   * each key.
   */
  async #renewNewest(feed: Feed, newest: NewestPerKey): Promise<void> {
    if (feed.isOpening || newest.isRenewing) return;
    feed.mustReadAgain = false;
    newest.beginRenewal();
    try {
      const page = await this.#readNewest(feed);
      if (page !== null && newest.lacks(page)) {
        // It may have overtaken messages that it contains. Members get those live, and must not get them here, too.
        await this.#parts.backplane.heard?.(feed.room.name);
        await this.#delivered(feed);
        newest.renew(page, this.#parts.clock.nowMs());
      }
      this.#unread.delete(feed);
    } catch (error) {
      this.#parts.log.debug({ error }, 'cannot read the newest messages of a room yet');
      this.#readLater(feed);
    } finally {
      newest.endRenewal();
    }
    if (feed.mustReadAgain) await this.#renewNewest(feed, newest);
  }

  #live(feed: Feed): void {
    feed.state = 'live';
    const follows = feed.takeHeld(this.#parts.clock.nowMs());
    if (!follows || feed.mustReadAgain) void this.repair(feed);
    feed.opened(null);
  }

  /** Resolves when nothing is pending in a feed. */
  async #delivered(feed: Feed): Promise<void> {
    while (feed.hasPending) await new Promise<void>((ended) => this.#parts.scheduler.atEndOfTurn(ended));
  }

  /** Takes an envelope from the backplane. */
  accept(name: string, envelope: Envelope): void {
    const { messages, recovery } = this.#parts.metrics;
    messages.envelopesReceived++;
    messages.relayed += envelope.count;
    const feed = this.#feeds.get(name);
    if (!feed) return;
    feed.hear(envelope);
    if (feed.state !== 'live') return feed.hold(envelope);
    if (feed.take(envelope, this.#parts.clock.nowMs())) return;
    recovery.holes++;
    feed.hold(envelope);
    void this.repair(feed);
  }

  /** Reads what a feed missed, if anything. Never rejects. Harmless while a read is in progress. */
  repair(feed: Feed): Promise<void> {
    if (feed.newest !== null) return this.#renewNewest(feed, feed.newest);
    return this.#catchUp(feed, () => this.#repair.readOn(feed));
  }

  /** The same where a read in progress may have begun before what was missed: then once more after it. */
  missed(feed: Feed): Promise<void> {
    if (feed.isReading || feed.newest?.isRenewing) feed.mustReadAgain = true;
    return this.repair(feed);
  }

  /** The same where a member has seen more than the feed. Most likely the rest is on its way; if it never arrives, the room is deaf. */
  reach(feed: Feed): Promise<void> {
    return this.#catchUp(feed, () => this.#repair.readOn(feed), true);
  }

  async #catchUp(feed: Feed, work: () => Promise<void>, mayArrive = false): Promise<void> {
    if (feed.isReading || !feed.keepsHistory) return;
    const { epoch } = feed;
    feed.state = 'repairing';
    feed.mustReadAgain = false;
    try {
      await work();
    } catch (error) {
      // Members keep their place, and `retry` reads on from there.
      feed.state = 'unread';
      this.#parts.log.debug({ error }, 'cannot catch a room up yet');
      this.#readLater(feed);
      return;
    }
    this.#unread.delete(feed);
    // Some of a new epoch may have arrived before that was known.
    if (!mayArrive || feed.epoch !== epoch) feed.heardTo = feed.offset;
    this.#live(feed);
  }

  /** Its turn is after all others: part of Redis may be away for long. */
  #readLater(feed: Feed): void {
    this.#unread.delete(feed);
    if (this.#feeds.get(feed.room.name) === feed) this.#unread.add(feed);
  }

  /** Reads on where reads failed, until one fails again. Called now and then; never rejects. */
  async retry(): Promise<void> {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    const unread = [...this.#unread];
    for (let at = 0; at < unread.length; at += RETRIED_AT_ONCE) {
      const some = unread.slice(at, at + RETRIED_AT_ONCE);
      await Promise.all(some.filter((feed) => this.#unread.has(feed)).map((feed) => this.repair(feed)));
      if (some.some((feed) => this.#unread.has(feed))) break;
    }
    this.#isRetrying = false;
  }

  /**
   * Checks the feeds of these rooms for missed messages, some at a time: Redis has just come back, and has others
   * to serve.
   */
  async checkAll(has: (room: string) => boolean): Promise<void> {
    const feeds = [...this.#feeds.values()].filter((feed) => has(feed.room.name));
    for (let at = 0; at < feeds.length; at += CHECKED_AT_ONCE) {
      await Promise.all(feeds.slice(at, at + CHECKED_AT_ONCE).map((feed) => this.missed(feed)));
    }
  }

  /**
   * Checks the next few feeds, in turn. A room that lost only its subscription shows no other sign, and each
   * read keeps the numbering of a quiet room alive while it has members. Never rejects.
   */
  async checkSome(count: number): Promise<void> {
    const feeds = [...this.#feeds.values()];
    if (this.#nextCheck >= feeds.length) this.#nextCheck = 0;
    const chosen = feeds.slice(this.#nextCheck, this.#nextCheck + count);
    this.#nextCheck += count;
    await Promise.all(chosen.map((feed) => this.#check(feed)));
  }

  get size(): number {
    return this.#feeds.size;
  }

  /** Messages that left a history before a client could have come back; see `RecentMemory`. */
  get trimmedEarly(): number {
    return this.#recent.trimmedEarly;
  }

  /** How many rooms have a full history that does not cover a reconnect: computed when metrics are scraped. */
  withShortHistory(): number {
    const nowMs = this.#parts.clock.nowMs();
    let count = 0;
    for (const { keepsHistory, recent } of this.#feeds.values()) {
      if (keepsHistory && recent.reachMs(nowMs) < RECONNECT_MS) count++;
    }
    return count;
  }

  async #check(feed: Feed): Promise<void> {
    if (feed.state !== 'live' || !feed.keepsHistory) return;
    try {
      const { epoch, offset } = await this.#parts.backplane.read(feed.room.name, feed.rule.history, {
        limit: 0,
        begin: true,
      });
      if (feed.epoch === epoch && feed.offset === offset && feed.heardTo >= offset) return;
      const late = () => feed.epoch !== epoch || feed.heardTo < offset;
      const lost = () => feed.epoch === epoch && feed.offset > offset;
      if (lost()) return void this.repair(feed);
      // Most likely on its way.
      this.#parts.scheduler.after(ARRIVAL_MS, () => late() && this.#reopen(feed));
    } catch (error) {
      this.#parts.log.debug({ error }, 'cannot check a room');
    }
  }

  /** The room's messages do not arrive here: subscribes again, and reads what it missed. */
  #reopen(feed: Feed): void {
    const { backplane, log, metrics } = this.#parts;
    if (this.#feeds.get(feed.room.name) !== feed || feed.state !== 'live') return;
    log.warn({}, 'a room missed published messages: subscribing again');
    metrics.recovery.deafRooms++;
    void this.#catchUp(feed, async () => {
      await backplane.resubscribe(feed.room.name);
      this.#parts.resubscribed(feed);
      await this.#repair.readOn(feed);
    });
  }
}

function asBackplaneError(error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  return new BackplaneError('internal', 'subscribe', 'cannot open a room', { cause: error });
}
