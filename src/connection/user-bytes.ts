import type { RateLimit } from '../util/rate-limit.ts';

interface Account {
  paidUntilMs: number;
}

/** Minimum number of accounts before paid-up ones are removed. */
const MIN_SWEEP = 1024;

/** The bytes that all connections of each user send. A paid-up account equals no account, and is removed. */
export class UserBytes {
  readonly #limit: RateLimit;
  readonly #accounts = new Map<string, Account>();
  #sweepAt = MIN_SWEEP;

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /**
   * Charges a user. Returns 0, or the milliseconds after which these bytes would pass: then nothing was
   * charged.
   */
  charge(user: string, bytes: number, nowMs: number): number {
    const account = this.#accounts.get(user) ?? this.#open(user, nowMs);
    const paidUntilMs = this.#limit.take(account.paidUntilMs, nowMs, bytes);
    if (paidUntilMs === -1) return this.#limit.retryAfterMs(account.paidUntilMs, nowMs, bytes);
    account.paidUntilMs = paidUntilMs;
    return 0;
  }

  #open(user: string, nowMs: number): Account {
    if (this.#accounts.size >= this.#sweepAt) this.#forgetPaidUp(nowMs);
    const account = { paidUntilMs: 0 };
    this.#accounts.set(user, account);
    return account;
  }

  #forgetPaidUp(nowMs: number): void {
    for (const [user, { paidUntilMs }] of this.#accounts) {
      if (paidUntilMs <= nowMs) this.#accounts.delete(user);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#accounts.size);
  }
}
