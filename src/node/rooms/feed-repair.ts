import type { Backplane, HistoryPage } from '../../backplane/backplane.ts';
import type { Envelope } from '../../backplane/envelope.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { Feed } from './feed.ts';

/** Messages requested in one read. */
const PAGE_MESSAGES = 1000;

export interface FeedRepairParts {
  readonly backplane: Backplane;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reads what feeds have missed. Messages that are no longer stored become a `gap`, a numbering that started
 * over a `reset`.
 */
export class FeedRepair {
  readonly #parts: FeedRepairParts;

  constructor(parts: FeedRepairParts) {
    this.#parts = parts;
  }

  /**
   * Reads until the feed is at its room's position and no held envelope is left over. Rejects when the
   * backplane does; the feed is then at some position from which it can continue.
   */
  async readOn(feed: Feed): Promise<void> {
    for (;;) {
      const heldBefore = feed.releaseHeld();
      // From the newest message that members have had, to check that it is still the same one.
      const page = await this.#read(feed, Math.max(0, feed.offset - 1));
      if (page.epoch !== feed.epoch) await this.#restart(feed);
      else if (hasDiverged(feed, page)) await this.#renewEpoch(feed, Number.MAX_SAFE_INTEGER);
      else if (page.offset < feed.offset) await this.#renewEpoch(feed, feed.offset);
      else {
        this.#apply(feed, page);
        if (await this.#renewIfBehind(feed, heldBefore, page)) continue;
        if (feed.offset >= page.offset && feed.takeHeld(this.#parts.clock.nowMs())) return;
      }
    }
  }

  #read(feed: Feed, after: number): Promise<HistoryPage> {
    const options = { after, limit: PAGE_MESSAGES, begin: true };
    return this.#parts.backplane.read(feed.room.name, feed.rule.history, options);
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
   * Envelopes held before the page was read were published before: if the room does not reach them, they were
   * stored and then lost. (Envelopes of another epoch than the room's belong to an ended numbering, and are
   * dropped.)
   */
  async #renewIfBehind(feed: Feed, heldBefore: readonly Envelope[], page: HistoryPage): Promise<boolean> {
    let seen = 0;
    for (const envelope of heldBefore) {
      if (envelope.epoch === feed.epoch) seen = envelope.isSignal ? envelope.sentAfter : envelope.last;
    }
    if (seen <= page.offset) return false;
    await this.#renewEpoch(feed, seen);
    return true;
  }

  /** The store is behind what was seen: it lost writes, and would give their numbers to other messages. */
  async #renewEpoch(feed: Feed, seen: number): Promise<void> {
    this.#parts.log.warn({ seen }, 'the backplane lost messages of a room: starting a new epoch');
    await this.#parts.backplane.renewEpoch(feed.room.name, feed.rule.history, feed.epoch, seen);
  }

  /** The room has a new epoch: members are told, and get the messages in it that they have not had. */
  async #restart(feed: Feed): Promise<void> {
    const common = await this.#lastInCommon(feed);
    const page = await this.#read(feed, common ?? 0);
    this.#parts.metrics.recovery.resets++;
    feed.reset(page.epoch, common ?? (page.envelopes[0]?.first ?? page.offset + 1) - 1);
    this.#apply(feed, page);
  }

  /**
   * The newest message that the room stores under the same number as members had it; null if there is none,
   * and everything in the room is new to them.
   */
  async #lastInCommon(feed: Feed): Promise<number | null> {
    const had = framesByOffset(feed.recent.after(0));
    let common: number | null = null;
    let after = (feed.recent.first ?? 0) - 1;
    while (after >= 0) {
      const { envelopes } = await this.#read(feed, after);
      const last = envelopes.at(-1)?.last;
      for (const [offset, frame] of framesByOffset(envelopes)) {
        if (had.get(offset)?.equals(frame)) common = offset;
      }
      if (last === undefined || common !== last) return common;
      after = last;
    }
    return common;
  }
}

function framesByOffset(envelopes: readonly Envelope[]): Map<number, Buffer> {
  const frames = new Map<number, Buffer>();
  for (const envelope of envelopes) {
    for (let i = 0; i < envelope.count; i++) frames.set(envelope.first + i, envelope.slice(i, i + 1));
  }
  return frames;
}

/**
 * Whether the room stores another message under the number of the newest one that members had: it lost that
 * one, and went on.
 */
function hasDiverged(feed: Feed, page: HistoryPage): boolean {
  const had = framesByOffset(feed.recent.after(feed.offset - 1)).get(feed.offset);
  const holds = framesByOffset(page.envelopes.slice(0, 1)).get(feed.offset);
  return had !== undefined && holds !== undefined && !had.equals(holds);
}
