import type { Backplane, HistoryPage, ReadOptions } from '../../backplane/backplane.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { Clock } from '../../util/clock.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Feeds } from '../rooms/feeds.ts';
import { RECENT_BYTES } from '../rooms/recent.ts';
import { MAX_PAGE_MESSAGES } from './cursor.ts';

export interface PagesParts {
  readonly backplane: Backplane;
  readonly feeds: Feeds;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
}

/** Told how many bytes were read for somebody. */
export type CountBytes = (bytes: number) => void;

/** Reads of history for members that are catching up. */
export class Pages {
  readonly #parts: PagesParts;
  /** One read of the newest history into a feed's memory, shared by all members that return at once. */
  readonly #priming = new Map<Feed, Promise<void>>();

  constructor(parts: PagesParts) {
    this.#parts = parts;
  }

  /**
   * A page of the feed's epoch. Rejects if the room has moved to another epoch: the feed must learn that
   * first.
   */
  async read(
    feed: Feed,
    after: number,
    limits: Pick<ReadOptions, 'limit' | 'bytes' | 'newest'>,
    count: CountBytes,
  ): Promise<HistoryPage> {
    const { backplane, feeds, metrics } = this.#parts;
    const page = await backplane.read(feed.room.name, feed.rule.history, { after, ...limits });
    metrics.recovery.historyReads++;
    count(page.envelopes.reduce((sum, { bytes }) => sum + bytes.length, 0));
    if (page.epoch === feed.epoch) {
      const available = page.envelopes[0]?.first ?? page.offset + 1;
      // A page of the newest may begin later than what there is.
      const isWhole = limits.limit > 0 && limits.newest !== true;
      if (isWhole && available > after + 1) feed.recent.noteGone(available - 1);
      return page;
    }
    void feeds.reach(feed);
    throw new Error('the room started a new epoch during a read');
  }

  /**
   * Loads the messages missing after `offset` into the node's memory, if they fit. If the memory is full,
   * reading older ones is wasted, at each step of each cursor: with messages of 16 KiB it read 8 MB from
   * Redis for each 256 KiB fed.
   */
  async prime(feed: Feed, offset: number, count: CountBytes): Promise<void> {
    for (;;) {
      const { first } = feed.recent;
      const lacking = first === null ? 0 : first - 1 - offset;
      if ((first !== null && lacking <= 0) || !feed.recent.hasRoomFor(lacking)) return;
      let priming = this.#priming.get(feed);
      if (priming === undefined) {
        priming = this.#readRecent(feed, count).finally(() => this.#priming.delete(feed));
        this.#priming.set(feed, priming);
      }
      await priming;
      // Nothing older is there, or it did not fit.
      if (feed.recent.first === null || feed.recent.first === first) return;
    }
  }

  /** Never reads more than the memory holds. */
  async #readRecent(feed: Feed, count: CountBytes): Promise<void> {
    const upTo = (feed.recent.first ?? feed.offset + 1) - 1;
    const depth = Math.min(feed.rule.history.messages, MAX_PAGE_MESSAGES);
    const limits = { limit: depth, bytes: RECENT_BYTES, newest: feed.recent.first === null };
    const page = await this.read(feed, Math.max(0, upTo - depth), limits, count);
    feed.recent.prepend(page.envelopes, feed.offset, this.#parts.clock);
  }
}
