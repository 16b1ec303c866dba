import { KeyedRate } from '../util/keyed-rate.ts';
import { RateLimit } from '../util/rate-limit.ts';

/** At once after a pause, in seconds' worth. */
const BURST_SECONDS = 2;

/** How much clients publish to each room whose rule limits that. Rooms with the same rate share one table. */
export class RoomRates {
  readonly #byRate = new Map<number, KeyedRate>();

  /** Charges one publish. Returns 0, or the milliseconds after which it would pass. */
  charge(room: string, perSecond: number, nowMs: number): number {
    return this.#rate(perSecond).charge(room, 1, nowMs);
  }

  #rate(perSecond: number): KeyedRate {
    let rate = this.#byRate.get(perSecond);
    if (rate === undefined) {
      rate = new KeyedRate(new RateLimit(perSecond, perSecond * BURST_SECONDS));
      this.#byRate.set(perSecond, rate);
    }
    return rate;
  }
}
