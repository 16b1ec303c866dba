import { overLimit } from '../../connection/over-limit.ts';
import type { Clock } from '../../util/clock.ts';
import { KeyedRate } from '../../util/keyed-rate.ts';
import { RateLimit } from '../../util/rate-limit.ts';
import type { AddressLimits } from '../address-limits.ts';
import { bearerOf } from '../bearer.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';

export interface RequestLimitsOptions {
  /** HTTP requests a second with one API key; 0: no limit. */
  readonly perKeyPerSecond: number;
  readonly perKeyBurst: number;
  readonly addresses: AddressLimits;
  readonly clock: Clock;
}

/** HTTP requests by who sends them. All methods throw `HttpError` for what is too many. */
export class RequestLimits {
  readonly #options: RequestLimitsOptions;
  readonly #keys: KeyedRate;

  constructor(options: RequestLimitsOptions) {
    this.#options = options;
    this.#keys = new KeyedRate(new RateLimit(options.perKeyPerSecond, options.perKeyBurst));
  }

  /** A request without a valid API key. */
  ofAddress(exchange: Exchange): void {
    const over = this.#options.addresses.request(exchange.addressKey);
    if (over !== null) throw HttpError.of(over);
  }

  /** A request whose API key was found good. Without keys there is nothing to count by: this machine asks. */
  ofKey({ authorization }: Exchange): void {
    const { perKeyPerSecond, clock } = this.#options;
    const key = bearerOf(authorization);
    if (perKeyPerSecond === 0 || key === null) return;
    const retryAfterMs = this.#keys.charge(key, 1, clock.nowMs());
    if (retryAfterMs === 0) return;
    const what = 'too many requests a second with this API key';
    const limit = 'limits.apiKeyRequestsPerSecond';
    throw HttpError.of(overLimit('rate_limited', what, limit, perKeyPerSecond, retryAfterMs));
  }
}
