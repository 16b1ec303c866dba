/**
 * Whether Redis accepts this node's writes. A full disk or memory, a lost replica or a revoked right leave
 * the links up and reading intact, but every publish is refused. So a script that writes like a publish runs
 * now and then: at once when something was refused, and more often until writes are accepted again.
 */
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';

export interface WriteCheckOptions {
  readonly intervalMs: number;
  /** Whether Redis can be called now. */
  canCheck(): boolean;
  /**
   * What Redis refuses, for people; null for nothing. Rejects if it did not answer: then nothing is learnt.
   */
  check(): Promise<string | null>;
  /** `problem` came or went. */
  changed(): void;
}

/** While writes are refused. */
const RECHECK_MS = 1_000;
/** At its memory limit, Redis accepts one write and refuses the next. */
const ACCEPTED_IN_A_ROW = 3;

export class WriteCheck {
  readonly #options: WriteCheckOptions;
  #timer: Timer | undefined;
  #problem: string | null = null;
  #accepted = 0;
  #isChecking = false;
  #wasSuspected = false;
  #isStopped = true;

  constructor(options: WriteCheckOptions) {
    this.#options = options;
  }

  /** What is refused, for people; null when writes are accepted. */
  get problem(): string | null {
    return this.#problem;
  }

  start(): void {
    this.#isStopped = false;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /**
   * Something was refused just now. `write`: the answer by which Redis refused to write at all; then that is the problem: near the
   * limit of its memory, Redis takes what is as small as the check and refuses what is large. Otherwise looks at once, once in an
   * interval: what one room is refused may concern it alone.
   */
  suspect(write: string | null): void {
    this.#accepted = 0;
    if (write !== null && this.#problem === null) {
      this.#learn(`redis refuses writes: ${write}`);
      return this.#schedule();
    }
    if (this.#problem !== null || this.#wasSuspected) return;
    this.#wasSuspected = true;
    void this.#check();
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    const { intervalMs } = this.#options;
    const waitMs = this.#problem === null ? intervalMs : Math.min(intervalMs, RECHECK_MS);
    this.#timer = systemScheduler.after(waitMs, () => {
      this.#wasSuspected = false;
      void this.#check();
    });
  }

  async #check(): Promise<void> {
    if (this.#isChecking || this.#isStopped) return;
    this.#isChecking = true;
    try {
      if (this.#options.canCheck()) this.#learn(await this.#options.check());
    } catch {
      // No answer: the link's fault, and reported there.
    } finally {
      this.#isChecking = false;
      this.#schedule();
    }
  }

  #learn(problem: string | null): void {
    if (this.#isStopped) return;
    this.#accepted = problem === null ? this.#accepted + 1 : 0;
    if (problem === null && this.#accepted < ACCEPTED_IN_A_ROW) return;
    const hasChanged = (this.#problem === null) !== (problem === null);
    this.#problem = problem;
    if (hasChanged) this.#options.changed();
  }
}
