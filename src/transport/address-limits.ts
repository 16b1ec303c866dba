import { type OverLimit, overLimit } from '../connection/over-limit.ts';
import type { LimitLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import { KeyedRate } from '../util/keyed-rate.ts';
import type { Logger } from '../util/log.ts';
import { RateLimit } from '../util/rate-limit.ts';
import { type Place, Tally } from '../util/tally.ts';
import { isLoopback, isPrivate } from './client-address.ts';

export interface AddressLimitsOptions {
  /** Open at a time. 0: no limit. */
  readonly connections: number;
  /** Sockets of any kind, open at a time. 0: no limit. */
  readonly sockets: number;
  /** New sockets a second. 0: no limit. */
  readonly socketsPerSecond: number;
  readonly socketBurst: number;
  /** New connections a second. 0: no limit. */
  readonly upgradesPerSecond: number;
  readonly upgradeBurst: number;
  /** HTTP requests a second. 0: no limit. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Whether they apply to private addresses and this machine too. */
  readonly limitsPrivate: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** When a place may be free again: clients that come and go stay for seconds at least. */
const FULL_RETRY_MS = 5000;

/**
 * What one address may have and do. A key is an address as `networkOf` has it, or null for whom no limit applies
 * to. Private addresses are counted and, unless asked for, not refused: everyone behind a balancer that
 * `trustProxy` does not name has the same one.
 */
export class AddressLimits {
  readonly #options: AddressLimitsOptions;
  readonly #open = new Tally();
  readonly #sockets: KeyedRate;
  readonly #upgrades: KeyedRate;
  readonly #requests: KeyedRate;
  #hasWarned = false;
  #hasWarnedOfPublic = false;

  constructor(options: AddressLimitsOptions) {
    this.#options = options;
    this.#sockets = new KeyedRate(new RateLimit(options.socketsPerSecond, options.socketBurst));
    this.#upgrades = new KeyedRate(new RateLimit(options.upgradesPerSecond, options.upgradeBurst));
    this.#requests = new KeyedRate(new RateLimit(options.requestsPerSecond, options.requestBurst));
  }

  /**
   * A socket was accepted, of an address that holds so many. Null: it is counted, and may stay. Else the limit that it
   * is beyond: nothing has been said over it yet, so nobody can be told.
   */
  socket(key: string | null, held: number): LimitLabel | null {
    const { sockets, socketsPerSecond, clock } = this.#options;
    if (key === null) return null;
    const most = 'limits.socketsPerAddress';
    if (sockets > 0 && held >= sockets && !this.spares(key, most)) return most;
    const rate = 'limits.addressSocketsPerSecond';
    if (socketsPerSecond === 0 || this.#sockets.charge(key, 1, clock.nowMs()) === 0) return null;
    return this.spares(key, rate) ? null : rate;
  }

  /** A new connection is asked for. Null: it is counted, and may go on. */
  upgrade(key: string | null): OverLimit | null {
    const { upgradesPerSecond } = this.#options;
    if (upgradesPerSecond === 0) return null;
    const what = 'too many new connections a second from this address';
    return this.#charge(this.#upgrades, key, what, 'limits.addressUpgradesPerSecond', upgradesPerSecond);
  }

  /** Whether there is a place for one more connection: null if so. */
  full(key: string | null): OverLimit | null {
    const { connections } = this.#options;
    if (connections === 0 || key === null || this.#open.of(key) < connections) return null;
    const limit = 'limits.connectionsPerAddress';
    if (this.spares(key, limit)) return null;
    const what = 'too many connections from this address';
    return overLimit('limit_exceeded', what, limit, connections, FULL_RETRY_MS);
  }

  /** A connection opened. */
  enter(key: string | null): Place | null {
    return key === null ? null : this.#open.enter(key);
  }

  /** It closed. */
  leave(place: Place | null): void {
    if (place !== null) this.#open.leave(place);
  }

  /** An HTTP request arrived. Null: it is counted, and may go on. */
  request(key: string | null): OverLimit | null {
    const { requestsPerSecond } = this.#options;
    if (requestsPerSecond === 0) return null;
    const what = 'too many requests a second from this address';
    return this.#charge(this.#requests, key, what, 'limits.addressRequestsPerSecond', requestsPerSecond);
  }

  #charge(
    rate: KeyedRate,
    key: string | null,
    what: string,
    limit: LimitLabel,
    value: number,
  ): OverLimit | null {
    if (key === null) return null;
    const retryAfterMs = rate.charge(key, 1, this.#options.clock.nowMs());
    if (retryAfterMs === 0 || this.spares(key, limit)) return null;
    return overLimit('rate_limited', what, limit, value, retryAfterMs);
  }

  /** The same key, or null for an address that the limits do not apply to. */
  payer(key: string | null): string | null {
    if (key === null || this.#options.limitsPrivate) return key;
    return isLoopback(key) || isPrivate(key) ? null : key;
  }

  /** Whether the limits do not apply to an address that is beyond one. Says so once. */
  spares(key: string, limit: LimitLabel): boolean {
    const { limitsPrivate, log } = this.#options;
    if (limitsPrivate) return false;
    if (isLoopback(key)) return true;
    if (!isPrivate(key)) {
      this.#sayRefused(key, limit);
      return false;
    }
    if (!this.#hasWarned) {
      this.#hasWarned = true;
      log.warn(
        { address: key, limit },
        `${key} is beyond ${limit}, which does not apply to private addresses: if it is a balancer, name it in trustProxy, so that its clients are told apart; if it is a client, set limits.limitPrivateAddresses`,
      );
    }
    return true;
  }

  /** Once: it may be a balancer that writes no header which would give it away. */
  #sayRefused(key: string, limit: LimitLabel): void {
    if (this.#hasWarnedOfPublic) return;
    this.#hasWarnedOfPublic = true;
    this.#options.log.warn(
      { address: key, limit },
      `${key} is beyond ${limit} and is refused: if it is your balancer, name it in trustProxy, so that its clients are told apart`,
    );
  }
}
