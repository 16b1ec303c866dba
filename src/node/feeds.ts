import { type Backplane, BackplaneError, type HistoryPage } from '../backplane/backplane.ts';
import type { Envelope } from '../backplane/envelope.ts';
import type { Room } from '../hub/room.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { PushFrame } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { Feed } from './feed.ts';
import type { RoomRule } from './room-rule.ts';

/** Held envelopes of one feed; beyond this they are dropped, and read from history instead. */
const HELD_BYTES = 8 * 1024 * 1024;
/** Messages asked for in one read. */
const PAGE_MESSAGES = 1000;

export interface FeedsParts {
  readonly backplane: Backplane;
  readonly rule: (room: string) => RoomRule;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** A feed has something pending: asks for a flush at the end of the turn. */
  readonly dirty: (feed: Feed) => void;
  /** A feed could not be opened: its members cannot stay. */
  readonly failed: (feed: Feed, error: BackplaneError) => void;
}

/**
 * The feeds of all rooms that have members here. A feed hands on what follows on, without a gap and without a repeat; what
 * does not is held until the hole has been read from history. Opening a feed and mending one is the same work: read from
 * a position, then take what was held.
 */
export class Feeds {
  readonly #parts: FeedsParts;
  readonly #feeds = new Map<string, Feed>();

  constructor(parts: FeedsParts) {
    this.#parts = parts;
  }

  get(room: string): Feed | undefined {
    return this.#feeds.get(room);
  }

  all(): IterableIterator<Feed> {
    return this.#feeds.values();
  }

  /** The feed of a room, opened if it is not; whether it is live yet is in its state. */
  open(room: Room): Feed {
    const known = this.#feeds.get(room.name);
    if (known) {
      known.idleSinceMs = null;
      return known;
    }
    const feed = new Feed(room, this.#parts.rule(room.name));
    this.#feeds.set(room.name, feed);
    void this.#begin(feed);
    return feed;
  }

  /** Ends a feed that nobody needs any more. */
  close(feed: Feed): void {
    if (this.#feeds.get(feed.room.name) !== feed) return;
    this.#feeds.delete(feed.room.name);
    this.#parts.backplane.unsubscribe(feed.room.name);
  }

  async #begin(feed: Feed): Promise<void> {
    try {
      await this.#parts.backplane.subscribe(feed.room.name);
      const page = await this.#parts.backplane.read(feed.room.name, feed.rule.history, { limit: 0 });
      feed.moveTo(page.epoch, page.offset);
      if (!this.#takeHeld(feed)) await this.#readOn(feed);
    } catch (error) {
      this.close(feed);
      this.#parts.failed(feed, asBackplaneError(error));
      return;
    }
    this.#live(feed);
  }

  #live(feed: Feed): void {
    feed.state = 'live';
    if (!this.#takeHeld(feed)) this.repair(feed);
    feed.opened();
  }

  /** Takes an envelope from the backplane. */
  accept(name: string, envelope: Envelope): void {
    const { messages, recovery } = this.#parts.metrics;
    messages.envelopesReceived++;
    messages.relayed += envelope.count;
    const feed = this.#feeds.get(name);
    if (!feed) return;
    if (feed.state !== 'live') return this.#hold(feed, envelope);
    if (this.#take(feed, envelope)) return;
    recovery.holes++;
    this.#hold(feed, envelope);
    this.repair(feed);
  }

  /** Reads on wherever something may have been missed. */
  repairAll(): void {
    for (const feed of this.#feeds.values()) this.repair(feed);
  }

  /** Reads what a feed missed, if anything. Harmless while it is already at it. */
  repair(feed: Feed): void {
    if (feed.state === 'opening' || feed.isReading || !feed.keepsHistory) return;
    feed.state = 'repairing';
    feed.isReading = true;
    this.#readOn(feed)
      .finally(() => {
        feed.isReading = false;
      })
      .then(() => this.#live(feed))
      // It stays `repairing`: members keep their place, and the next check of the room reads on from there.
      .catch((error: unknown) => this.#parts.log.warn({ error }, 'a room could not be caught up yet'));
  }

  /** False where the envelope does not follow on and is not old either. */
  #take(feed: Feed, envelope: Envelope): boolean {
    if (feed.keepsHistory && envelope.first !== 0) {
      if (envelope.epoch !== feed.epoch) return false;
      if (envelope.last <= feed.offset) return true;
      if (envelope.first !== feed.offset + 1) return false;
    }
    feed.append(envelope, this.#parts.clock.nowMs());
    this.#parts.dirty(feed);
    return true;
  }

  #hold(feed: Feed, envelope: Envelope): void {
    feed.heldBytes += envelope.bytes.length;
    if (feed.heldBytes > HELD_BYTES) {
      // Reading on from history finds them again; the newest alone says how far it has to read.
      feed.held = [];
      feed.heldBytes = envelope.bytes.length;
    }
    feed.held.push(envelope);
  }

  /** Takes of what is held whatever follows on. True when nothing is left over. */
  #takeHeld(feed: Feed): boolean {
    const held = feed.held;
    feed.held = [];
    feed.heldBytes = 0;
    for (const envelope of held) {
      if (!this.#take(feed, envelope)) this.#hold(feed, envelope);
    }
    return feed.held.length === 0;
  }

  /** Reads until the feed stands where the room does and nothing that is held is left over. */
  async #readOn(feed: Feed): Promise<void> {
    for (;;) {
      const heldBefore = feed.held;
      feed.held = [];
      feed.heldBytes = 0;
      const page = await this.#read(feed, feed.offset);
      if (page.epoch !== feed.epoch) await this.#restart(feed);
      else if (page.offset < feed.offset) await this.#renew(feed, feed.offset);
      else {
        this.#applyPage(feed, page);
        if (await this.#renewIfBehind(feed, heldBefore, page)) continue;
        if (feed.offset >= page.offset && this.#takeHeld(feed)) return;
      }
    }
  }

  #read(feed: Feed, after: number): Promise<HistoryPage> {
    return this.#parts.backplane.read(feed.room.name, feed.rule.history, { after, limit: PAGE_MESSAGES });
  }

  /** Takes a page of the feed's own epoch. What is no longer kept is named, not passed over. */
  #applyPage(feed: Feed, page: HistoryPage): void {
    for (const envelope of page.envelopes) {
      if (envelope.last <= feed.offset) continue;
      if (envelope.first > feed.offset + 1) this.#gap(feed, envelope.first - 1);
      this.#take(feed, envelope);
      this.#parts.metrics.recovery.holesFilled += envelope.count;
    }
    if (page.envelopes.length === 0 && page.offset > feed.offset) this.#gap(feed, page.offset);
  }

  /**
   * What was held before the page was read was published before: where the room does not reach it, it was stored and then
   * lost. (What is of another epoch than the room's is of a life that is over, and is forgotten.)
   */
  async #renewIfBehind(feed: Feed, heldBefore: readonly Envelope[], page: HistoryPage): Promise<boolean> {
    let seen = 0;
    for (const envelope of heldBefore) if (envelope.epoch === feed.epoch) seen = envelope.last;
    if (seen <= page.offset) return false;
    await this.#renew(feed, seen);
    return true;
  }

  /** The store is behind what was seen: it lost writes. Its numbers would be given out twice. */
  async #renew(feed: Feed, seen: number): Promise<void> {
    this.#parts.log.warn({ seen }, 'the backplane lost messages of a room: starting a new epoch');
    await this.#parts.backplane.renew(feed.room.name, feed.rule.history, feed.epoch, seen);
  }

  /** The room has a new epoch: members are told, and get what it holds that they have not had. */
  async #restart(feed: Feed): Promise<void> {
    const page = await this.#read(feed, 0);
    const start = commonOffset(feed, page);
    this.#parts.metrics.recovery.resets++;
    feed.moveTo(page.epoch, start);
    this.#push(feed, ['reset', feed.room.name, page.epoch, start]);
    this.#applyPage(feed, page);
  }

  #gap(feed: Feed, to: number): void {
    this.#parts.metrics.recovery.gaps++;
    this.#push(feed, ['gap', feed.room.name, feed.offset + 1, to]);
    feed.recent.clear();
    feed.offset = to;
  }

  #push(feed: Feed, frame: PushFrame): void {
    feed.pending.push(frame);
    this.#parts.dirty(feed);
  }
}

/**
 * The position in a new epoch from which members have to be served: after the last message that they have had under the
 * same number. None where the room began again; after the surviving ones where the newest were lost.
 */
function commonOffset(feed: Feed, page: HistoryPage): number {
  const had = new Map<number, Buffer>();
  for (const envelope of feed.recent.after(0)) {
    for (let i = 0; i < envelope.count; i++) had.set(envelope.first + i, envelope.slice(i, i + 1));
  }
  let common = (page.envelopes[0]?.first ?? page.offset + 1) - 1;
  for (const envelope of page.envelopes) {
    for (let i = 0; i < envelope.count; i++) {
      if (had.get(envelope.first + i)?.equals(envelope.slice(i, i + 1))) common = envelope.first + i;
    }
  }
  return common;
}

function asBackplaneError(error: unknown): BackplaneError {
  if (error instanceof BackplaneError) return error;
  return new BackplaneError('internal', 'subscribe', 'a room could not be opened', { cause: error });
}
