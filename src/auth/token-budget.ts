/** How many tokens of one client address are checked: so that forged ones cannot use up a core. */
import { KeyedRate } from '../util/keyed-rate.ts';
import { RateLimit } from '../util/rate-limit.ts';

/** A token that is accepted costs this share of one that is refused. */
const GOOD_SHARE = 0.1;
/** What an address may have refused at once after a pause, in seconds of its rate. */
const BURST_SECONDS = 4;
/** Whoever is refused comes back in this time at the earliest, so that clients which keep to it do not come all the time. */
const LEAST_WAIT_MS = 1000;

/**
 * A budget of refused tokens for each address, by the key that the limits of addresses count it by. The price of a refusal is taken
 * before the check, and most of it is given back for a token that was good: so what is in flight is bounded too, and many clients behind one
 * address get in.
 */
export class TokenBudget {
  /** Null: no limit. */
  readonly #rate: KeyedRate | null;

  /** Refusals a second that one address may sustain; 0: no limit. */
  constructor(refusalsPerSecond: number) {
    const limit = new RateLimit(refusalsPerSecond, BURST_SECONDS * refusalsPerSecond);
    this.#rate = refusalsPerSecond === 0 ? null : new KeyedRate(limit);
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#rate?.size ?? 0;
  }

  /** Takes the price of a check. Returns 0, or in how many milliseconds to ask again: then nothing was taken. */
  take(addressKey: string, nowMs: number): number {
    const waitMs = this.#rate?.charge(addressKey, 1, nowMs) ?? 0;
    return waitMs === 0 ? 0 : Math.max(LEAST_WAIT_MS, waitMs);
  }

  /** The token was good: most of the price is given back, if it was taken. */
  accepted(addressKey: string): void {
    this.#rate?.giveBack(addressKey, 1 - GOOD_SHARE);
  }
}
