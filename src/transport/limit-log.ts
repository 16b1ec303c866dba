import type { Logger } from '../util/log.ts';

/**
 * A node is no longer full once this share is free: one client leaving and one arriving is not worth two log
 * lines.
 */
const FREE_SHARE = 0.05;

export interface LimitLogOptions {
  /** What is limited, such as `connections`. */
  readonly what: string;
  readonly limit: number;
  readonly count: () => number;
  readonly log: Logger;
}

/**
 * Logs once when a limit starts to turn clients away, and once when that ends, however many arrive in
 * between.
 */
export class LimitLog {
  readonly #options: LimitLogOptions;
  #refused = 0;

  constructor(options: LimitLogOptions) {
    this.#options = options;
  }

  /** A client was turned away. */
  refused(): void {
    const { what, limit, log } = this.#options;
    if (this.#refused++ > 0) return;
    log.warn({ event: 'full', what, limit }, `limit of ${limit} ${what} reached: refusing more`);
  }

  /** Something was freed. */
  freed(): void {
    if (this.#refused === 0) return;
    const { what, limit, count, log } = this.#options;
    const open = count();
    if (open >= limit || open > limit * (1 - FREE_SHARE)) return;
    const refused = this.#refused;
    this.#refused = 0;
    log.info({ event: 'not full', what, limit, open, refused }, `below the limit of ${limit} ${what} again`);
  }
}
