import { RateLimit } from '../../util/rate-limit.ts';

/** The metrics as text, at one moment. */
export interface Scrape {
  readonly contentType: string;
  readonly body: Uint8Array;
}

export interface ScrapesOptions {
  /** Times a second that metrics are rendered; 0: no limit. */
  readonly perSecond: number;
  readonly render: () => Promise<{ contentType: string; text: string }>;
  readonly nowMs: () => number;
}

/**
 * What `/metrics` serves. Rendering takes a millisecond or more on the one thread that delivers messages, so
 * it is limited to a rate and runs one at a time: requests during a render share its result, and requests
 * beyond the rate get the last one. Scrapers at an ordinary pace always get a new one.
 */
export class Scrapes {
  readonly #options: ScrapesOptions;
  readonly #rate: RateLimit;
  #paidUntilMs = 0;
  #last: Scrape | null = null;
  #pending: Promise<Scrape> | null = null;

  constructor(options: ScrapesOptions) {
    this.#options = options;
    this.#rate = new RateLimit(options.perSecond, options.perSecond);
  }

  /** Rejects if rendering fails; the next call tries again. */
  read(): Scrape | Promise<Scrape> {
    if (this.#pending !== null) return this.#pending;
    const nowMs = this.#options.nowMs();
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
    return this.#last;
  }
}
