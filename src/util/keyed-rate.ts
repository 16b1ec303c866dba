import type { RateLimit } from './rate-limit.ts';

interface Account {
  paidUntilMs: number;
}

/** Minimum number of accounts before paid-up ones are removed. */
const MIN_SWEEP = 1024;

/**
 * One rate for each of many things that are known by a name: users, addresses, rooms. A paid-up account
 * equals no account, and is removed, so that names that come once cost nothing for long.
 */
export class KeyedRate {
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
   * Charges an account. Returns 0, or the milliseconds after which these units would pass: then nothing was
   * charged.
   */
  charge(name: string, units: number, nowMs: number): number {
    const account = this.#accounts.get(name) ?? this.#open(name, nowMs);
    const paidUntilMs = this.#limit.take(account.paidUntilMs, nowMs, units);
    if (paidUntilMs === -1) return this.#limit.retryAfterMs(account.paidUntilMs, nowMs, units);
    account.paidUntilMs = paidUntilMs;
    return 0;
  }

  /** Milliseconds after which these units would pass; 0: now. Charges nothing. */
  waitMs(name: string, units: number, nowMs: number): number {
    const paidUntilMs = this.#accounts.get(name)?.paidUntilMs ?? 0;
    if (this.#limit.take(paidUntilMs, nowMs, units) !== -1) return 0;
    return this.#limit.retryAfterMs(paidUntilMs, nowMs, units);
  }

  /** Returns some of what was charged. Harmless for an account that is gone. */
  giveBack(name: string, units: number): void {
    const account = this.#accounts.get(name);
    if (account !== undefined) account.paidUntilMs = this.#limit.giveBack(account.paidUntilMs, units);
  }

  #open(name: string, nowMs: number): Account {
    if (this.#accounts.size >= this.#sweepAt) this.#forgetPaidUp(nowMs);
    const account = { paidUntilMs: 0 };
    this.#accounts.set(name, account);
    return account;
  }

  #forgetPaidUp(nowMs: number): void {
    for (const [name, { paidUntilMs }] of this.#accounts) {
      if (paidUntilMs <= nowMs) this.#accounts.delete(name);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#accounts.size);
  }
}
