/**
 * How many publishes may be on their way, and when the next one may go: as many as usual, one after a refusal and twice as many with
 * each that is stored, so that later ones do not overtake; none during a pause.
 */
import type { Timer } from '../util/scheduler.ts';
import type { Environment } from './environment.ts';

const MAX_IN_FLIGHT = 128;
const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 5_000;

export class Flow {
  readonly #scheduler: Environment['scheduler'];
  readonly #resumed: () => void;
  #inFlight = 0;
  #mayBeInFlight = MAX_IN_FLIGHT;
  #retries = 0;
  #pause: Timer | null = null;
  #isBackingOff = false;

  /** `resumed`: a pause is over. */
  constructor({ scheduler }: Environment, resumed: () => void) {
    this.#scheduler = scheduler;
    this.#resumed = resumed;
  }

  get isOpen(): boolean {
    return this.#pause === null && this.#inFlight < this.#mayBeInFlight;
  }

  sent(): void {
    this.#inFlight++;
  }

  answered(): void {
    this.#inFlight--;
  }

  stored(): void {
    this.#retries = 0;
    this.#mayBeInFlight = Math.min(MAX_IN_FLIGHT, this.#mayBeInFlight * 2);
  }

  /** Waiting may cure it. The wait grows with each refusal that comes after a wait. */
  refused(retryAfterMs: number | null): void {
    this.#mayBeInFlight = 1;
    if (this.#isBackingOff) return;
    const backoffMs = this.#scheduler.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** this.#retries++);
    this.pauseFor((retryAfterMs ?? 0) + backoffMs);
    this.#isBackingOff = true;
  }

  pauseFor(delayMs: number): void {
    this.stop();
    this.#pause = this.#scheduler.after(delayMs, () => {
      this.stop();
      this.#resumed();
    });
  }

  /** There is another connection. */
  begin(): void {
    this.#retries = 0;
    this.#mayBeInFlight = MAX_IN_FLIGHT;
  }

  /** Ends the pause. */
  stop(): void {
    this.#pause?.cancel();
    this.#pause = null;
    this.#isBackingOff = false;
  }
}
