import type { Scheduler, Timer } from './scheduler.ts';

/**
 * Repeats work while there is any. It pauses and starts again as often as needed, but once it was stopped it stays so: what arrives
 * while its owner closes must not leave a timer behind that nobody cancels.
 */
export class Interval {
  readonly #scheduler: Pick<Scheduler, 'every'>;
  readonly #everyMs: number;
  readonly #work: () => void;
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(scheduler: Pick<Scheduler, 'every'>, everyMs: number, work: () => void) {
    this.#scheduler = scheduler;
    this.#everyMs = everyMs;
    this.#work = work;
  }

  /** Harmless while it runs, and after `stop`. */
  start(): void {
    if (!this.#isStopped) this.#timer ??= this.#scheduler.every(this.#everyMs, this.#work);
  }

  /** Until the next `start`. */
  pause(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** For good. */
  stop(): void {
    this.#isStopped = true;
    this.pause();
  }
}
