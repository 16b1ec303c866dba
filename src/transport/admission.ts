import type { UpgradeRefusalLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { RateLimit } from '../util/rate-limit.ts';
import type { Capacity } from './capacity.ts';
import { LimitLog } from './limit-log.ts';

/** Why a new connection is refused. */
export interface Refusal {
  readonly reason: UpgradeRefusalLabel;
  readonly message: string;
  readonly retryAfterS: number;
}

export interface AdmissionOptions {
  /** New connections a second; 0: no limit. */
  readonly perSecond: number;
  readonly capacity: Capacity;
  readonly openConnections: () => number;
  /** Connections that have not presented a token yet. */
  readonly unauthenticated: () => number;
  readonly isShuttingDown: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Whether one more connection is admitted. The limit on new ones per second keeps a node working when all
 * clients of another arrive at once: they are told to retry, and each gets in within seconds.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #rate: RateLimit;
  readonly #full: LimitLog;
  readonly #crowded: LimitLog;
  #paidUntilMs = 0;

  constructor(options: AdmissionOptions) {
    const { capacity, openConnections, unauthenticated, log } = options;
    this.#options = options;
    // A burst of a tenth of a second's worth: the limit holds within any second too.
    this.#rate = new RateLimit(options.perSecond, Math.ceil(options.perSecond / 10));
    this.#full = new LimitLog({
      what: 'connections',
      limit: capacity.connections,
      count: openConnections,
      log,
    });
    this.#crowded = new LimitLog({
      what: 'unauthenticated connections',
      limit: capacity.unauthenticated,
      count: unauthenticated,
      log,
    });
  }

  /** For an upgrade that just arrived: counts it if it is admitted. */
  admit(hasNoToken: boolean): Refusal | null {
    const refusal = this.refusal(hasNoToken);
    if (refusal !== null) return refusal;
    const nowMs = this.#options.clock.nowMs();
    const paidUntilMs = this.#rate.take(this.#paidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      return {
        reason: 'rate',
        message: 'too many new connections at once: try again in a second',
        retryAfterS: 1,
      };
    }
    this.#paidUntilMs = paidUntilMs;
    return null;
  }

  /** The same for a client that was admitted and has waited since: counts nothing. */
  refusal(hasNoToken: boolean): Refusal | null {
    const { isShuttingDown, capacity, openConnections, unauthenticated } = this.#options;
    if (isShuttingDown()) {
      return { reason: 'draining', message: 'the node is shutting down', retryAfterS: 1 };
    }
    if (openConnections() >= capacity.connections) {
      this.#full.refused();
      const message = `connection limit reached: the node holds ${capacity.connections}`;
      return { reason: 'limit', message, retryAfterS: 5 };
    }
    if (!hasNoToken || unauthenticated() < capacity.unauthenticated) return null;
    this.#crowded.refused();
    const message =
      'too many connections have not presented a token yet: try again, or send the token with the upgrade';
    return { reason: 'waiting', message, retryAfterS: 1 };
  }

  /** A connection closed, or presented its token. */
  freed(): void {
    this.#full.freed();
    this.#crowded.freed();
  }
}
