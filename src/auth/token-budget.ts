/** How many tokens of one client address are checked: so that forged ones cannot use up a core. */

/** A token that is accepted costs this share of one that is refused. */
const GOOD_SHARE = 0.1;
/** What an address may have refused at once after a pause. */
const BURST_MS = 4000;
/** Whoever is refused comes back in this time at the earliest, so that clients which keep to it do not come all the time. */
const LEAST_WAIT_MS = 1000;
/** Fewer addresses than this are not worth looking through. */
const MIN_SWEEP = 1024;

/**
 * A budget of refused tokens for each address, by the key that the limits of addresses count it by. The price of a refusal is taken
 * before the check, and most of it is given back for a token that was good: so what is in flight is bounded too, and many clients behind one
 * address get in.
 */
export class TokenBudget {
  readonly #priceMs: number;
  /** By address: when all of it would be paid for. */
  readonly #paidUntilMs = new Map<string, number>();
  #sweepAt = MIN_SWEEP;

  /** Refusals a second that one address may sustain; 0: no limit. */
  constructor(refusalsPerSecond: number) {
    this.#priceMs = refusalsPerSecond === 0 ? 0 : 1000 / refusalsPerSecond;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#paidUntilMs.size;
  }

  /** Takes the price of a check. Returns 0, or in how many milliseconds to ask again: then nothing was taken. */
  take(addressKey: string, nowMs: number): number {
    if (this.#priceMs === 0) return 0;
    const next = Math.max(this.#paidUntilMs.get(addressKey) ?? 0, nowMs) + this.#priceMs;
    const overMs = next - nowMs - BURST_MS;
    if (overMs > 0) return Math.max(LEAST_WAIT_MS, Math.ceil(overMs));
    if (this.#paidUntilMs.size >= this.#sweepAt) this.#forget(nowMs);
    this.#paidUntilMs.set(addressKey, next);
    return 0;
  }

  /** The token was good: most of the price is given back, if it was taken. */
  accepted(addressKey: string): void {
    const paidUntilMs = this.#paidUntilMs.get(addressKey);
    if (paidUntilMs !== undefined) {
      this.#paidUntilMs.set(addressKey, paidUntilMs - this.#priceMs * (1 - GOOD_SHARE));
    }
  }

  /** What is paid for says nothing any more. */
  #forget(nowMs: number): void {
    for (const [addressKey, paidUntilMs] of this.#paidUntilMs) {
      if (paidUntilMs <= nowMs) this.#paidUntilMs.delete(addressKey);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#paidUntilMs.size);
  }
}
