import { Allowance } from '../../connection/allowance.ts';
import type { Clock } from '../../util/clock.ts';

/** How long what a client sent is remembered after its last request: longer than any burst lasts. */
const REMEMBERED_MS = 60_000;
/** Fewer clients than this are not worth looking through. */
const MIN_SWEEP = 1024;

interface Account {
  readonly allowance: Allowance;
  usedMs: number;
}

/**
 * What clients without a socket of their own may send: all requests of a user, or of an address without one, count
 * as those of one connection.
 */
export class ClientAccounts {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #sweepAt = MIN_SWEEP;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `addressKey`: null where the limits of addresses do not apply, so that nobody pays for others. */
  of(user: string | null, addressKey: string | null): Allowance {
    if (user === null && addressKey === null) return new Allowance();
    const name = user === null ? `a${addressKey}` : `u${user}`;
    const nowMs = this.#clock.nowMs();
    let account = this.#accounts.get(name);
    if (account === undefined) {
      if (this.#accounts.size >= this.#sweepAt) this.#forget(nowMs);
      account = { allowance: new Allowance(), usedMs: nowMs };
      this.#accounts.set(name, account);
    }
    account.usedMs = nowMs;
    return account.allowance;
  }

  #forget(nowMs: number): void {
    for (const [name, { usedMs }] of this.#accounts) {
      if (usedMs + REMEMBERED_MS <= nowMs) this.#accounts.delete(name);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#accounts.size);
  }
}
