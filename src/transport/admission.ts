import type { UpgradeRefusalLabel } from '../metrics/labels.ts';
import type { Clock } from '../util/clock.ts';
import { RateLimit } from '../util/rate-limit.ts';

/** Why one more connection may not come. */
export interface Refusal {
  readonly reason: UpgradeRefusalLabel;
  readonly message: string;
  readonly retryAfterS: number;
}

export interface AdmissionOptions {
  /** New connections a second; 0: no limit. */
  readonly perSecond: number;
  /** Open connections; 0: no limit. */
  readonly maxConnections: number;
  readonly openConnections: () => number;
  readonly isShuttingDown: () => boolean;
  readonly clock: Clock;
}

/**
 * Whether one more connection may come. The ceiling on new ones a second is what keeps a node on its feet when all clients of
 * another come at once: they are told to try again, and each finds its place within seconds.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #rate: RateLimit;
  #paidUntilMs = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    // A burst of a tenth of a second's worth: the ceiling is to hold within any second too.
    this.#rate = new RateLimit(options.perSecond, Math.ceil(options.perSecond / 10));
  }

  /** For an upgrade that has just come: counts it when it may. */
  admit(): Refusal | null {
    const refusal = this.refusal();
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
  refusal(): Refusal | null {
    const { isShuttingDown, maxConnections, openConnections } = this.#options;
    if (isShuttingDown()) {
      return { reason: 'draining', message: 'this node is shutting down', retryAfterS: 1 };
    }
    if (maxConnections === 0 || openConnections() < maxConnections) return null;
    return { reason: 'limit', message: 'this node has all the connections that it may have', retryAfterS: 5 };
  }
}
