import { EndOfTurn } from '../../util/end-of-turn.ts';
import { RateLimit } from '../../util/rate-limit.ts';
import type { Scheduler } from '../../util/scheduler.ts';

/** The metrics as text, at one moment. */
export interface Scrape {
  readonly contentType: string;
  readonly body: Uint8Array;
}

export interface ScrapesOptions {
  /** Times a second that metrics are rendered; 0: no limit. */
  readonly perSecond: number;
  readonly render: () => Promise<{ contentType: string; text: string }>;
  readonly scheduler: Pick<Scheduler, 'nowMs' | 'atEndOfTurn'>;
}

/**
 * What `/metrics` serves. Rendering takes a millisecond or more on the one thread that delivers messages, so
 * it is limited to a rate and to one in a turn of the event loop: requests during a render, or in the same turn, share its
 * result, and requests beyond the rate get the last one. Scrapers at an ordinary pace always get a new one.
 */
export class Scrapes {
  readonly #options: ScrapesOptions;
  readonly #rate: RateLimit;
  #paidUntilMs = 0;
  #last: Scrape | null = null;
  #pending: Promise<Scrape> | null = null;
  /** The last one was rendered in this turn. */
  #isOfThisTurn = false;
  readonly #endOfTurn: EndOfTurn;

  constructor(options: ScrapesOptions) {
    this.#options = options;
    this.#rate = new RateLimit(options.perSecond, options.perSecond);
    this.#endOfTurn = new EndOfTurn(options.scheduler, () => {
      this.#isOfThisTurn = false;
    });
  }

  /** Rejects if rendering fails; the next call tries again. */
  read(): Scrape | Promise<Scrape> {
    if (this.#pending !== null) return this.#pending;
    if (this.#isOfThisTurn && this.#last !== null) return this.#last;
    const nowMs = this.#options.scheduler.nowMs();
    const paidUntilMs = this.#rate.take(this.#paidUntilMs, nowMs);
    if (paidUntilMs === -1 && this.#last !== null) return this.#last;
    if (paidUntilMs !== -1) this.#paidUntilMs = paidUntilMs;
    this.#pending = this.#render().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #render(): Promise<Scrape> {
    const { contentType, text } = await this.#options.render();
    this.#last = { contentType, body: Buffer.from(text) };
    this.#isOfThisTurn = true;
    this.#endOfTurn.request();
    return this.#last;
  }
}
