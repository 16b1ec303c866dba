/** How a command ends: the first reason counts, be it a limit, a signal, a refusal or the work itself. */
import { EXIT } from '../exit-codes.ts';

export interface End {
  readonly exitCode: number;
  /** For people; null where there is nothing to say. */
  readonly line: string | null;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Ending {
  readonly reached: Promise<End>;
  readonly #controller = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #resolve!: (end: End) => void;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    // A command lasts until it has ended, whatever else keeps the process alive.
    this.#timers.push(setInterval(() => undefined, 2 ** 30));
  }

  /** Aborted when the end is reached. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isReached(): boolean {
    return this.signal.aborted;
  }

  end(exitCode: number, line: string | null = null): void {
    if (this.isReached) return;
    this.#controller.abort();
    this.#resolve({ exitCode, line });
  }

  /** Calls `work` after so many seconds, unless the end comes first. */
  after(seconds: number, work: () => void): NodeJS.Timeout {
    const timer = setTimeout(work, seconds * 1000);
    this.#timers.push(timer);
    return timer;
  }

  /** Ends with 124 after so many seconds, whatever the command is doing. */
  endAfter(seconds: number | undefined): void {
    if (seconds === undefined) return;
    this.after(seconds, () => this.end(EXIT.timeout, `stopped after ${seconds} s`));
  }

  /** Ctrl-C and its like end the command in order, a second one at once. */
  takeSignals(): void {
    for (const name of SIGNALS) process.on(name, this.#signalled);
  }

  /** Leaves no timer and no listener. */
  dispose(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const name of SIGNALS) process.off(name, this.#signalled);
  }

  readonly #signalled = (name: NodeJS.Signals): void => {
    const exitCode = EXIT[name as (typeof SIGNALS)[number]];
    if (this.isReached) process.exit(exitCode);
    this.end(exitCode);
  };
}
