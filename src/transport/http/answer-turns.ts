import { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler } from '../../util/scheduler.ts';

/** Answers of about 10 us each. */
export const ANSWERS_A_TURN = 64;

/**
 * Which answers leave at once. One read of a socket brings thousands of requests that a client sent without waiting for
 * answers, and nothing else is served until all of them are answered. Those beyond what a turn answers wait for its end; and
 * uWebSockets.js closes a socket whose next request comes while the last one is unanswered. Who waits for the answer loses
 * nothing.
 */
export class AnswerTurns {
  readonly #scheduler: Pick<Scheduler, 'atEndOfTurn'>;
  readonly #endOfTurn: EndOfTurn;
  #left = ANSWERS_A_TURN;

  constructor(scheduler: Pick<Scheduler, 'atEndOfTurn'>) {
    this.#scheduler = scheduler;
    this.#endOfTurn = new EndOfTurn(scheduler, () => {
      this.#left = ANSWERS_A_TURN;
    });
  }

  /** A request arrived. Returns its turn. */
  began(): number {
    this.#endOfTurn.request();
    return this.#endOfTurn.number;
  }

  /** Answers a request that arrived in this turn: now, or at the end of it. */
  answer(turn: number, work: () => void): void {
    const isOfThisTurn = turn === this.#endOfTurn.number;
    if (isOfThisTurn && --this.#left < 0) this.#scheduler.atEndOfTurn(work);
    else work();
  }
}
