/**
 * Whether anyone is still at the other end. A page cannot see the node's pings, so a dead link looks like a quiet room: after silence
 * the client asks, and a link that does not answer is over.
 */
import type { Timer } from '../util/scheduler.ts';
import type { Environment } from './environment.ts';

export interface PulseOptions {
  readonly environment: Environment;
  /** Silence after which to ask. */
  readonly silentAfterMs: number;
  /** Silence after the question that ends the link. */
  readonly answerWithinMs: number;
  /** Sends a ping. `answered` is called with its answer. */
  readonly ask: (answered: () => void) => void;
  readonly dead: () => void;
}

/** A timer that fires so much later than it should did not run meanwhile: the machine slept, or the page was frozen. */
const ASLEEP_MS = 5_000;

export class Pulse {
  readonly #options: PulseOptions;
  #heardAtMs: number;
  #watching: Timer;
  #deadline: Timer | null = null;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#heardAtMs = options.environment.scheduler.nowMs();
    this.#watching = this.#watch(options.silentAfterMs);
  }

  /** Something came. It is no answer, since it may have been on its way for long, but a link that is busy gets more time for one. */
  heard(): void {
    this.#heardAtMs = this.#options.environment.scheduler.nowMs();
    if (this.#deadline !== null) this.#expectAnswer();
  }

  /** Asks at once, unless it waits for an answer already. */
  probe(): void {
    if (this.#deadline !== null) return;
    this.#expectAnswer();
    this.#options.ask(() => {
      this.#deadline?.cancel();
      this.#deadline = null;
    });
  }

  stop(): void {
    this.#watching.cancel();
    this.#deadline?.cancel();
  }

  #expectAnswer(): void {
    const { environment, answerWithinMs, dead } = this.#options;
    this.#deadline?.cancel();
    this.#deadline = environment.scheduler.after(answerWithinMs, dead);
  }

  #watch(delayMs: number): Timer {
    const { environment, silentAfterMs } = this.#options;
    const { scheduler } = environment;
    const dueAtMs = scheduler.wallMs() + delayMs;
    return scheduler.after(delayMs, () => {
      const silentMs = scheduler.nowMs() - this.#heardAtMs;
      // By the wall clock: the other one may stand still while the machine sleeps.
      const slept = scheduler.wallMs() - dueAtMs > ASLEEP_MS;
      const isSilent = slept || silentMs >= silentAfterMs;
      // Whole milliseconds: the rest may be so small that a clock does not move by it.
      this.#watching = this.#watch(isSilent ? silentAfterMs : Math.ceil(silentAfterMs - silentMs));
      if (isSilent) this.probe();
    });
  }
}
