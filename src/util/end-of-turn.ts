import type { Scheduler } from './scheduler.ts';

/**
 * Runs work once at the end of the event loop's current turn, however often it is asked for. Batches form here: all that
 * one turn brought in leaves together, and an idle node adds no delay, because the end of the turn is at hand.
 */
export class EndOfTurn {
  readonly #scheduler: Pick<Scheduler, 'atEndOfTurn'>;
  readonly #work: () => void;
  #isRequested = false;
  #number = 1;

  constructor(scheduler: Pick<Scheduler, 'atEndOfTurn'>, work: () => void) {
    this.#scheduler = scheduler;
    this.#work = work;
  }

  /** Rises when a turn ends in which work was asked for: two things with one number happened in the same turn. */
  get number(): number {
    return this.#number;
  }

  request(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    this.#scheduler.atEndOfTurn(this.#run);
  }

  readonly #run = (): void => {
    this.#isRequested = false;
    this.#number++;
    this.#work();
  };
}
