/**
 * Sums of intervals are rounded, more so the longer the clock runs: without this, the last event of a burst
 * is refused.
 */
const ROUNDING_MS = 0.001;

/**
 * A token bucket kept as one number: the moment when everything let through would be paid for at the steady
 * rate (the generic cell rate algorithm). No timers, and 8 bytes for each limited thing.
 */
export class RateLimit {
  readonly #intervalMs: number;
  readonly #toleranceMs: number;

  /** `perSecond` 0 lets everything through. */
  constructor(perSecond: number, burst: number) {
    this.#intervalMs = perSecond === 0 ? 0 : 1000 / perSecond;
    this.#toleranceMs = this.#intervalMs * Math.max(1, burst) + Math.min(this.#intervalMs / 100, ROUNDING_MS);
  }

  /** The new state after `units` more events at `nowMs`, or -1 if that is too many. A state starts at 0. */
  take(paidUntilMs: number, nowMs: number, units = 1): number {
    const next = Math.max(paidUntilMs, nowMs) + this.#intervalMs * units;
    return next - nowMs > this.#toleranceMs ? -1 : next;
  }

  /** The new state when `units` of the events taken do not count after all. */
  giveBack(paidUntilMs: number, units: number): number {
    return paidUntilMs - this.#intervalMs * units;
  }

  /** How long to wait until `units` events would pass, rounded up to whole milliseconds. */
  retryAfterMs(paidUntilMs: number, nowMs: number, units = 1): number {
    return Math.max(1, Math.ceil(paidUntilMs + this.#intervalMs * units - nowMs - this.#toleranceMs));
  }
}
