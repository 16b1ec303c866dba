import type { UpgradeRefusalLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { RateLimit } from '../util/rate-limit.ts';
import type { Capacity } from './capacity.ts';
import { LimitLog } from './limit-log.ts';

/** Why one more connection may not come. */
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
  /** Connections that have yet to present a token. */
  readonly unauthenticated: () => number;
  readonly isShuttingDown: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Whether one more connection may come. The ceiling on new ones a second is what keeps a node on its feet when all clients of
 * another come at once: they are told to try again, and each finds its place within seconds.
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
    // A burst of a tenth of a second's worth: the ceiling is to hold within any second too.
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

  /** For an upgrade that has just come: counts it when it may. */
  admit(hasNoToken: boolean): Refusal | null {
    const refusal = this.refusal(hasNoToken);
    if (refusal !== null) return refusal;
    const nowMs = this.#options.clock.nowMs();
    const paidUntilMs = this.#rate.take(this.#paidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      return { reason: 'rate', message: 'too many connections come at once', retryAfterS: 1 };
    }
    this.#paidUntilMs = paidUntilMs;
    return null;
  }

  /** The same for one that was admitted and has waited since: counts nothing. */
  refusal(hasNoToken: boolean): Refusal | null {
    const { isShuttingDown, capacity, openConnections, unauthenticated } = this.#options;
    if (isShuttingDown()) {
      return { reason: 'draining', message: 'this node is shutting down', retryAfterS: 1 };
    }
    if (openConnections() >= capacity.connections) {
      this.#full.refused();
      const message = `connection limit reached: this node holds ${capacity.connections}`;
      return { reason: 'limit', message, retryAfterS: 5 };
    }
    if (!hasNoToken || unauthenticated() < capacity.unauthenticated) return null;
    this.#crowded.refused();
    const message =
      'too many connections have yet to present a token: try again, or send it with the upgrade';
    return { reason: 'waiting', message, retryAfterS: 1 };
  }

  /** A connection was closed, or has presented its token. */
  freed(): void {
    this.#full.freed();
    this.#crowded.freed();
  }
}
