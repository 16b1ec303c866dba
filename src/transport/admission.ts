import { type OverLimit, overLimit } from '../connection/over-limit.ts';
import type { LimitLabel, UpgradeRefusalLabel } from '../metrics/labels.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { RateLimit } from '../util/rate-limit.ts';
import type { Place } from '../util/tally.ts';
import type { AddressLimits } from './address-limits.ts';
import type { Capacity } from './capacity.ts';
import { LimitLog } from './limit-log.ts';

/** Why a new connection is refused. */
export interface Refusal {
  readonly reason: UpgradeRefusalLabel;
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

export interface AdmissionOptions {
  /** New connections a second; 0: no limit. */
  readonly perSecond: number;
  readonly capacity: Capacity;
  readonly addresses: AddressLimits;
  /** Whether a user may have one more connection: null if so. */
  readonly userFull: (user: string) => OverLimit | null;
  readonly openConnections: () => number;
  /** Connections that have not presented a token yet. */
  readonly unauthenticated: () => number;
  readonly isShuttingDown: () => boolean;
  readonly metrics: Pick<NodeMetrics, 'connections'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Who asks for a connection. */
export interface Newcomer {
  /** What the limits of addresses count it by; null: they do not apply. */
  readonly addressKey: string | null;
  /** It must present a token, and has not. */
  readonly hasNoToken: boolean;
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

  /** For a connection that was just asked for: counts it, and the refusal if it is refused. */
  admit(newcomer: Newcomer): Refusal | null {
    return this.#counted(this.#decide(newcomer));
  }

  /**
   * The same for a client that was admitted and has waited since, whose user is known by now if it has one. Counts
   * no newcomer.
   */
  refusal(newcomer: Newcomer, user: string | null): Refusal | null {
    const userFull = user === null ? null : this.#options.userFull(user);
    return this.#counted(this.#standing(newcomer) ?? (userFull && { reason: 'user', ...userFull }));
  }

  #decide(newcomer: Newcomer): Refusal | null {
    const { addresses, clock, perSecond } = this.#options;
    const standing = this.#standing(newcomer);
    if (standing !== null) return standing;
    const tooFast = addresses.upgrade(newcomer.addressKey);
    if (tooFast !== null) return { reason: 'address', ...tooFast };
    const nowMs = clock.nowMs();
    const paidUntilMs = this.#rate.take(this.#paidUntilMs, nowMs);
    if (paidUntilMs === -1) {
      return ofNode('rate', 'too many new connections at once', 'acceptRate.perSecond', perSecond, 1000);
    }
    this.#paidUntilMs = paidUntilMs;
    return null;
  }

  /** What holds however fast they come. */
  #standing({ addressKey, hasNoToken }: Newcomer): Refusal | null {
    const { isShuttingDown, capacity, addresses, openConnections, unauthenticated } = this.#options;
    if (isShuttingDown()) {
      const message = 'the node is shutting down';
      return { reason: 'draining', code: 'unavailable', message, details: { retryAfterMs: 1000 } };
    }
    if (openConnections() >= capacity.connections) {
      this.#full.refused();
      const what = 'connection limit of the node reached';
      return ofNode('limit', what, 'websocket.maxConnections', capacity.connections, 5000);
    }
    const full = addresses.full(addressKey);
    if (full !== null) return { reason: 'address', ...full };
    if (!hasNoToken || unauthenticated() < capacity.unauthenticated) return null;
    this.#crowded.refused();
    const what =
      'too many connections have not presented a token yet, so try again or send the token with the upgrade';
    return ofNode('waiting', what, 'websocket.maxUnauthenticated', capacity.unauthenticated, 1000);
  }

  #counted(refusal: Refusal | null): Refusal | null {
    if (refusal === null) return null;
    this.#options.metrics.connections.upgradesRejected[refusal.reason]++;
    return refusal;
  }

  /** A connection opens that was admitted. What this returns goes to `left` when it closes. */
  entered(addressKey: string | null): Place | null {
    return this.#options.addresses.enter(addressKey);
  }

  /** Which address pays for what a connection sends; null: none does. */
  payer(addressKey: string | null): string | null {
    return this.#options.addresses.payer(addressKey);
  }

  left(place: Place | null): void {
    this.#options.addresses.leave(place);
    this.#full.freed();
    this.#crowded.freed();
  }
}

/** 503: another node may have room. */
function ofNode(
  reason: UpgradeRefusalLabel,
  what: string,
  limit: LimitLabel,
  value: number,
  retryAfterMs: number,
): Refusal {
  return { reason, ...overLimit('unavailable', what, limit, value, retryAfterMs) };
}
