/** Ctrl-C during a bench: the first one ends it in order, a second one at once. */
export class Interruption {
  readonly #controller = new AbortController();

  constructor() {
    process.on('SIGINT', this.#take);
    process.on('SIGTERM', this.#take);
  }

  /** Aborted by the first one. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Restores the usual effect of signals. */
  dispose(): void {
    process.off('SIGINT', this.#take);
    process.off('SIGTERM', this.#take);
  }

  readonly #take = (): void => {
    if (this.signal.aborted) process.exit(130);
    this.#controller.abort('interrupted');
  };
}
