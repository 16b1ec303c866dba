import type { Scheduler } from '../util/scheduler.ts';

interface Waiting {
  readonly dueMs: number;
  readonly bytes: number;
  readonly arrive: () => void;
}

/** Times are sums of fractions: this much does not count. */
const ROUNDING_MS = 1e-6;

/** One direction of a cable. What is put in arrives in order, each in a task of its own, after the latency. */
export class Pipe {
  readonly #scheduler: Scheduler;
  readonly #latencyMs: () => number;
  #waiting: Waiting[] = [];
  #bytes = 0;
  #lastDueMs = 0;
  #isPaused = false;
  #isDead = false;

  /** `latencyMs`: how long what is put in now takes. */
  constructor(scheduler: Scheduler, latencyMs: () => number) {
    this.#scheduler = scheduler;
    this.#latencyMs = latencyMs;
  }

  put(bytes: number, arrive: () => void): void {
    const nowMs = this.#scheduler.nowMs();
    // Never before what was put in earlier, even if the latency was longer then.
    const dueMs = Math.max(nowMs + this.#latencyMs(), this.#lastDueMs);
    this.#lastDueMs = dueMs;
    this.#waiting.push({ dueMs, bytes, arrive });
    this.#bytes += bytes;
    if (dueMs > nowMs) this.#scheduler.after(dueMs - nowMs, this.#next);
    else this.#scheduler.atEndOfTurn(this.#next);
  }

  /** Bytes that have not arrived. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is put in stays in the queue of the sender. */
  get isStuck(): boolean {
    return this.#isPaused || this.#isDead;
  }

  /** The reader takes nothing until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** What waits arrives, then `done` is called. */
  resume(done: () => void): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    for (const _ of this.#waiting) this.#scheduler.atEndOfTurn(this.#next);
    this.#scheduler.atEndOfTurn(done);
  }

  /** Nothing arrives any more, now or later, and nobody is told. */
  die(): void {
    this.#isDead = true;
  }

  /** The first in the queue, once its time has come. */
  get #due(): Waiting | undefined {
    const first = this.#waiting[0];
    return first && first.dueMs <= this.#scheduler.nowMs() + ROUNDING_MS ? first : undefined;
  }

  readonly #next = (): void => {
    if (this.isStuck) return;
    const first = this.#due;
    if (first === undefined) return;
    this.#waiting.shift();
    this.#bytes -= first.bytes;
    first.arrive();
  };
}
