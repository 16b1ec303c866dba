/**
 * Runs work once at the end of the event loop's current turn, however often it is asked for. Batches form here: all that
 * one turn brought in leaves together, and an idle node adds no delay, because the end of the turn is at hand.
 */
export class Turn {
  readonly #work: () => void;
  #scheduled = false;

  constructor(work: () => void) {
    this.#work = work;
  }

  request(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    this.#work();
  };
}
