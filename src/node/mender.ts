import type { Backplane, HistoryPage } from '../backplane/backplane.ts';
import type { Envelope } from '../backplane/envelope.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import type { Feed } from './feed.ts';

/** Messages asked for in one read. */
const PAGE_MESSAGES = 1000;

export interface MenderParts {
  readonly backplane: Backplane;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Reads what feeds have missed. What can no longer be had becomes a `gap`, a numbering that began anew a `reset`. */
export class Mender {
  readonly #parts: MenderParts;

  constructor(parts: MenderParts) {
    this.#parts = parts;
  }

  /**
   * Reads until the feed stands where its room does and nothing that is held is left over. Rejects when the backplane does;
   * the feed then stands at some position from which it can go on.
   */
  async readOn(feed: Feed): Promise<void> {
    for (;;) {
      const heldBefore = feed.releaseHeld();
      const page = await this.#read(feed, feed.offset);
      if (page.epoch !== feed.epoch) await this.#restart(feed);
      else if (page.offset < feed.offset) await this.#renew(feed, feed.offset);
      else {
        this.#apply(feed, page);
        if (await this.#renewIfBehind(feed, heldBefore, page)) continue;
        if (feed.offset >= page.offset && feed.takeHeld(this.#parts.clock.nowMs())) return;
      }
    }
  }

  #read(feed: Feed, after: number): Promise<HistoryPage> {
    return this.#parts.backplane.read(feed.room.name, feed.rule.history, { after, limit: PAGE_MESSAGES });
  }

  /** Takes a page of the feed's own epoch. */
  #apply(feed: Feed, page: HistoryPage): void {
    const { recovery } = this.#parts.metrics;
    for (const envelope of page.envelopes) {
      if (envelope.last <= feed.offset) continue;
      if (envelope.first > feed.offset + 1) this.#gap(feed, envelope.first - 1);
      feed.take(envelope, this.#parts.clock.nowMs(), page.epoch);
      recovery.holesFilled += envelope.count;
    }
    if (page.envelopes.length === 0 && page.offset > feed.offset) this.#gap(feed, page.offset);
  }

  #gap(feed: Feed, to: number): void {
    this.#parts.metrics.recovery.gaps++;
    feed.gap(to);
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

  /** The store is behind what was seen: it lost writes, and would give their numbers to other messages. */
  async #renew(feed: Feed, seen: number): Promise<void> {
    this.#parts.log.warn({ seen }, 'the backplane lost messages of a room: starting a new epoch');
    await this.#parts.backplane.renew(feed.room.name, feed.rule.history, feed.epoch, seen);
  }

  /** The room has a new epoch: members are told, and get what it holds that they have not had. */
  async #restart(feed: Feed): Promise<void> {
    const page = await this.#read(feed, 0);
    this.#parts.metrics.recovery.resets++;
    feed.reset(page.epoch, commonOffset(feed, page));
    this.#apply(feed, page);
  }
}

/**
 * The position in a new epoch from which members have to be served: after the last message that they have had under the
 * same number. None where the room began again; the last that survived where the newest were lost.
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
