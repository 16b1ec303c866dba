/**
 * Bytes to spend at a steady rate, with a burst: a bucket kept as one number, the moment when everything
 * spent would be paid for. A cost is known only afterwards, so the last one may exceed the burst, and is paid
 * for by waiting.
 */
export class ByteBudget {
  readonly #perMs: number;
  readonly #burstMs: number;
  #paidUntilMs = 0;

  /** `perSecond` 0 lets everything through. `burst`: bytes that may be spent at once after a pause. */
  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burstMs = perSecond === 0 ? 0 : burst / this.#perMs;
  }

  /** How long to wait until more may be spent; 0: now. */
  waitMs(nowMs: number): number {
    return this.#perMs === 0 ? 0 : Math.max(0, Math.ceil(this.#paidUntilMs - nowMs - this.#burstMs));
  }

  spend(bytes: number, nowMs: number): void {
    if (this.#perMs > 0) this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + bytes / this.#perMs;
  }

  /** Whether everything is paid for, so that a new budget would be the same. */
  isWhole(nowMs: number): boolean {
    return this.#paidUntilMs <= nowMs;
  }
}
