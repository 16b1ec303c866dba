import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { LimitLog } from './limit-log.ts';

/** How long uWebSockets.js keeps a socket that we closed and the peer did not, plus a margin. */
const LINGER_S = 9;

/**
 * Counts the sockets that hold a file descriptor. At the system's limit, accepting fails, uWebSockets.js
 * retries at once and forever, and a lost link to Redis cannot reconnect: so a socket beyond our own limit is
 * accepted and closed.
 */
export class Descriptors {
  readonly max: number;
  readonly #clock: Clock;
  readonly #full: LimitLog;
  #open = 0;
  /** Sockets closed here that may still hold their descriptor, by the second in which they closed. */
  readonly #lingering = new Array<number>(LINGER_S).fill(0);
  #second = 0;

  constructor(max: number, clock: Clock, log: Logger) {
    this.max = max;
    this.#clock = clock;
    this.#full = new LimitLog({ what: 'sockets', limit: max, count: () => this.count, log });
  }

  get count(): number {
    this.#advance();
    let count = this.#open;
    for (const lingering of this.#lingering) count += lingering;
    return count;
  }

  /** Another socket was accepted. Returns whether it may stay. `reserve`: it may have so many beyond the limit. */
  opened(reserve = 0): boolean {
    this.#open++;
    const mayStay = this.count <= this.max + reserve;
    if (!mayStay) this.#full.refused();
    return mayStay;
  }

  closed(): void {
    this.#open--;
    this.#full.freed();
  }

  /**
   * A socket to which we sent a close frame: its descriptor is freed when the peer closes too, or after a
   * while.
   */
  ended(): void {
    this.#open--;
    this.#advance();
    this.#lingering[this.#second % LINGER_S]!++;
  }

  #advance(): void {
    const second = Math.floor(this.#clock.nowMs() / 1000);
    const from = Math.max(this.#second + 1, second - LINGER_S + 1);
    for (let past = from; past <= second; past++) this.#lingering[past % LINGER_S] = 0;
    this.#second = second;
  }
}
