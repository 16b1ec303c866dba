/**
 * Runs work once at the end of the event loop's current turn, however often it is asked for. Batches form here: all that
 * one turn brought in leaves together, and an idle node adds no delay, because the end of the turn is at hand.
 */
export class Turn {
  readonly #work: () => void;
  #scheduled = false;
  #number = 1;

  constructor(work: () => void) {
    this.#work = work;
  }

  /** Rises when a turn ends in which work was asked for: two things with one number happened in the same turn. */
  get number(): number {
    return this.#number;
  }

  request(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    this.#number++;
    this.#work();
  };
}
