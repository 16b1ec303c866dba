import type { JoinCommand } from '../protocol/frames.ts';
import type { Scheduler } from '../util/scheduler.ts';
import type { Connection } from './connection.ts';

/**
 * Joins that a node begins in one turn of the event loop, of all connections together. It is what a client that
 * comes back asks for at once by default, and about 10 ms of work if nobody was in the rooms.
 */
export const JOINS_A_TURN = 100;

/** Carries out a join. */
type BeginJoin = (connection: Connection, command: JoinCommand) => void;

interface Waiting {
  readonly connection: Connection;
  readonly command: JoinCommand;
}

/**
 * Spreads joins over turns, so that others are served in between, however many connections join at once. A
 * connection whose join waits waits with it: what it sends after the join is carried out after it. Its next join
 * goes to the end of the queue, so connections take turns.
 */
export class JoinTurns {
  readonly #scheduler: Pick<Scheduler, 'atEndOfTurn'>;
  readonly #begin: BeginJoin;
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();
  /** In this turn. */
  #begun = 0;

  constructor(scheduler: Pick<Scheduler, 'atEndOfTurn'>, begin: BeginJoin) {
    this.#scheduler = scheduler;
    this.#begin = begin;
  }

  /** Begins a join, now or in its turn. Takes the command's bytes before it returns. */
  take(connection: Connection, command: JoinCommand): void {
    if (this.#waiting.size === 0 && this.#begun < JOINS_A_TURN) {
      this.#count();
      return this.#begin(connection, command);
    }
    connection.waitForJoin();
    const data = command.data === null ? null : new Uint8Array(command.data);
    this.#waiting.add({ connection, command: { ...command, data } });
  }

  #count(): void {
    if (this.#begun++ === 0) this.#scheduler.atEndOfTurn(this.#nextTurn);
  }

  readonly #nextTurn = (): void => {
    this.#begun = 0;
    // Goes on with those that are added meanwhile.
    for (const waiting of this.#waiting) {
      if (this.#begun >= JOINS_A_TURN) return;
      this.#waiting.delete(waiting);
      const { connection, command } = waiting;
      if (!connection.isOpen) continue;
      this.#count();
      connection.carryOn(this.#begin, command);
    }
  };
}
