import type { Scheduler } from './scheduler.ts';

/**
 * Runs work once at the end of the event loop's current turn, however often it is requested. Batches form
 * here: everything that one turn brought in leaves together, and an idle node adds no delay, because the end
 * of the turn comes at once.
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

  /**
   * Increases when a turn ends that had requested work: two events with the same number happened in the same
   * turn.
   */
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
