import type { Connection } from '../../connection/connection.ts';
import { ByteBudget } from '../../util/byte-budget.ts';
import type { Clock } from '../../util/clock.ts';
import type { EndOfTurn } from '../../util/end-of-turn.ts';

export interface PortionsOptions {
  readonly endOfTurn: Pick<EndOfTurn, 'number'>;
  readonly clock: Clock;
  /** Bytes that one connection may catch up with a second for long; 0: no limit. */
  readonly bytesPerSecond: number;
}

/** What one connection was given. */
interface Account {
  readonly budget: ByteBudget;
  turn: number;
  turnBytes: number;
  /** Reads of history under way for it. */
  reads: number;
}

/** A connection may have two seconds' worth at once. */
const BURST_SECONDS = 2;
/** Of one connection: a client that comes back asks for all of its rooms at once. */
const READS_AT_ONCE = 4;
/** What the smallest read counts as. */
const LEAST_COST = 8 * 1024;
/** For all connections together. Copying this much takes one or two milliseconds. */
const TURN_COST = 4 * 1024 * 1024;
/** Making JSON text of a message takes about eight times as long as copying it. */
const TEXT_TURN_COST = 8;
/** Over time it is rather what leaves that counts. */
const TEXT_COST = 2;

/**
 * How much those who catch up are given. A `join` of thirty bytes asks for all that a room holds, and may be repeated, so each
 * connection is given a portion in a turn, all of them together no more than leaves others their share of it, and for long so many
 * bytes a second. The last is far above what a client takes over a network.
 */
export class Portions {
  readonly #options: PortionsOptions;
  readonly #accounts = new WeakMap<Connection, Account>();
  #served = 0;
  #turn = 0;
  #turnCost = 0;

  constructor(options: PortionsOptions) {
    this.#options = options;
  }

  /** Those who wait are about to be served: a new turn, as far as portions go. */
  nextTurn(): void {
    this.#served++;
  }

  /** How many bytes a connection may be fed in this turn; 0: it is to wait for the next one. */
  left(connection: Connection): number {
    const turn = this.#now();
    if (this.#turn === turn && this.#turnCost >= TURN_COST) return 0;
    const account = this.#accounts.get(connection);
    const fed = account?.turn === turn ? account.turnBytes : 0;
    return Math.max(0, connection.fillBytes - fed);
  }

  /** How many milliseconds a connection has to wait for what it was given to be paid for. */
  waitMs(connection: Connection): number {
    return this.#accounts.get(connection)?.budget.waitMs(this.#options.clock.nowMs()) ?? 0;
  }

  /** A connection is fed so many bytes. `isPaid`: they were read for it, and count for this turn only. */
  fed(connection: Connection, bytes: number, isPaid: boolean): void {
    const turn = this.#now();
    const account = this.#account(connection);
    if (account.turn !== turn) account.turnBytes = 0;
    account.turn = turn;
    account.turnBytes += bytes;
    if (this.#turn !== turn) this.#turnCost = 0;
    this.#turn = turn;
    this.#turnCost += bytes * (connection.readsText ? TEXT_TURN_COST : 1);
    if (!isPaid) this.#spend(connection, account, bytes);
  }

  /** Whether one more read of history may begin for a connection. */
  mayRead(connection: Connection): boolean {
    return (this.#accounts.get(connection)?.reads ?? 0) < READS_AT_ONCE;
  }

  readBegan(connection: Connection): void {
    this.#account(connection).reads++;
  }

  /** `bytes`: that were read, whether or not anybody waits for them still. */
  readEnded(connection: Connection, bytes: number): void {
    const account = this.#account(connection);
    account.reads--;
    this.#spend(connection, account, Math.max(LEAST_COST, bytes));
  }

  #spend({ readsText }: Connection, { budget }: Account, bytes: number): void {
    budget.spend(readsText ? bytes * TEXT_COST : bytes, this.#options.clock.nowMs());
  }

  #account(connection: Connection): Account {
    let account = this.#accounts.get(connection);
    if (account === undefined) {
      const { bytesPerSecond } = this.#options;
      const budget = new ByteBudget(bytesPerSecond, bytesPerSecond * BURST_SECONDS);
      account = { budget, turn: -1, turnBytes: 0, reads: 0 };
      this.#accounts.set(connection, account);
    }
    return account;
  }

  #now(): number {
    return this.#options.endOfTurn.number + this.#served;
  }
}
