/** What every token passes, whichever way it comes: its size, the budget of its address, its signature, and what is revoked. */
import { utf8Length } from '../protocol/limits.ts';
import type { Scheduler } from '../util/scheduler.ts';
import { CheckTurns } from './check-turns.ts';
import { type Authenticator, AuthFailure, type AuthFailureCode, type Identity } from './identity.ts';
import { TokenBudget } from './token-budget.ts';

/** What the server API has revoked. */
export interface Revocations {
  isRevoked(identity: Identity): boolean;
}

export type TokenOutcome = 'ok' | AuthFailureCode | 'internal';

export interface TokenGateParts {
  readonly authenticator: Authenticator;
  readonly revocations: Revocations;
  /** Refused tokens a second of one address; 0: no limit. */
  readonly refusalsPerSecond: number;
  /** Whether an address that is beyond the limit is not held to it. Default: none. */
  readonly spares?: (addressKey: string) => boolean;
  readonly scheduler: Pick<Scheduler, 'nowMs' | 'after'>;
  /** Called once for each token. */
  readonly outcome: (outcome: TokenOutcome) => void;
}

/** As large as a message may be before authentication. A hundred grants of the longest rooms fit. */
export const MAX_TOKEN_BYTES = 32 * 1024;

/** The authenticator that a node's ways in ask. One per node. */
export class TokenGate implements Authenticator {
  readonly #parts: TokenGateParts;
  readonly #budget: TokenBudget;
  readonly #turns: CheckTurns;

  constructor(parts: TokenGateParts) {
    this.#parts = parts;
    this.#budget = new TokenBudget(parts.refusalsPerSecond);
    this.#turns = new CheckTurns(parts.scheduler);
  }

  /** Rejects with `AuthFailure`. With null the check counts for nobody. */
  async authenticate(token: string, addressKey: string | null = null): Promise<Identity> {
    const { outcome } = this.#parts;
    try {
      const identity = await this.#check(token, addressKey);
      outcome('ok');
      return identity;
    } catch (error) {
      outcome(error instanceof AuthFailure ? error.code : 'internal');
      throw error;
    }
  }

  async #check(token: string, addressKey: string | null): Promise<Identity> {
    const { authenticator, revocations } = this.#parts;
    // Nothing of it is read.
    if (token.length > MAX_TOKEN_BYTES) throw tooLarge(token);
    const hasPaid = addressKey !== null && this.#pay(addressKey);
    const identity = await this.#turns.run(addressKey, () => authenticator.authenticate(token, addressKey));
    // Asked after the check, which may have taken a while.
    if (revocations.isRevoked(identity)) throw new AuthFailure('token_revoked', REVOKED);
    if (hasPaid) this.#budget.accepted(addressKey);
    return identity;
  }

  /** Takes the price of a check. Returns whether it did: some addresses owe nothing. Throws `AuthFailure`. */
  #pay(addressKey: string): boolean {
    const { scheduler, refusalsPerSecond, spares } = this.#parts;
    const waitMs = this.#budget.take(addressKey, scheduler.nowMs());
    if (waitMs === 0) return true;
    if (spares?.(addressKey) === true) return false;
    throw tooMany(refusalsPerSecond, waitMs);
  }
}

/** Told to the owner of a token that was good until the server API said otherwise. */
export const REVOKED = 'the server has revoked this token, or the access of its user';

function tooLarge(token: string): AuthFailure {
  return new AuthFailure(
    'unauthorized',
    `the token was refused: it may have at most ${MAX_TOKEN_BYTES} bytes, got ${utf8Length(token)}`,
  );
}

function tooMany(refusalsPerSecond: number, retryAfterMs: number): AuthFailure {
  const limit = 'auth.refusalsPerSecond';
  const message = `too many tokens from this address were refused: ${limit} is ${refusalsPerSecond}`;
  return new AuthFailure('rate_limited', message, { retryAfterMs, limit });
}
