import type { Clock } from '../../src/util/clock.ts';

/** Time that passes when a test says so. Both hands move together, except while the machine sleeps. */
export class FakeClock implements Clock {
  #nowMs: number;
  #wallAtZeroMs: number;

  constructor(nowMs = 1000.25, wallMs = Date.UTC(2030, 0, 1)) {
    this.#nowMs = nowMs;
    this.#wallAtZeroMs = wallMs - nowMs;
  }

  readonly nowMs = (): number => this.#nowMs;

  readonly wallMs = (): number => Math.round(this.#wallAtZeroMs + this.#nowMs);

  advance(milliseconds: number): void {
    this.#nowMs += milliseconds;
  }

  /** The machine sleeps: only the wall clock goes on, as on most systems. */
  sleep(milliseconds: number): void {
    this.#wallAtZeroMs += milliseconds;
  }
}
