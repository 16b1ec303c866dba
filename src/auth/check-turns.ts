/** How many tokens are checked at a time: checking a signature takes a core, and there is only one for everyone's messages. */
import type { Scheduler, Timer } from '../util/scheduler.ts';
import { AuthFailure } from './identity.ts';

/** Over all addresses. As many as keep the threads of the process busy. */
export const CHECKS_AT_ONCE = 8;
/** A check that takes longer waits for keys from the network, not for a core: it keeps nobody from going on. */
export const SLOW_MS = 100;
/** Beyond this something is wrong that waiting does not help: it would only take memory. */
export const MAX_WAITING = 5000;
const RETRY_MS = 1000;

/** One check that was begun. */
interface Check {
  readonly sinceMs: number;
}

/** Those of one address wait in order, and addresses take turns: forged tokens of one do not hold up those of others. */
export class CheckTurns {
  readonly #scheduler: Pick<Scheduler, 'nowMs' | 'after'>;
  /** In the order in which they began. */
  readonly #begun = new Set<Check>();
  readonly #lanes = new Map<string, ((check: Check) => void)[]>();
  #waiting = 0;
  #timer: Timer | null = null;

  constructor(scheduler: Pick<Scheduler, 'nowMs' | 'after'>) {
    this.#scheduler = scheduler;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Settles as `work` does, once its turn has come. Rejects with `AuthFailure` if too many wait. */
  async run<T>(addressKey: string | null, work: () => Promise<T>): Promise<T> {
    const isFree = this.#begun.size < CHECKS_AT_ONCE && this.#waiting === 0;
    const check = isFree ? this.#begin() : await this.#turn(addressKey ?? '');
    try {
      return await work();
    } finally {
      this.#begun.delete(check);
      this.#next();
    }
  }

  #begin(): Check {
    const check = { sinceMs: this.#scheduler.nowMs() };
    this.#begun.add(check);
    return check;
  }

  #turn(lane: string): Promise<Check> {
    if (this.#waiting >= MAX_WAITING) {
      const details = { retryAfterMs: RETRY_MS };
      throw new AuthFailure('unavailable', 'too many tokens wait to be checked', details);
    }
    this.#waiting++;
    return new Promise((resolve) => {
      const waiting = this.#lanes.get(lane);
      if (waiting === undefined) this.#lanes.set(lane, [resolve]);
      else waiting.push(resolve);
      this.#next();
    });
  }

  #next(): void {
    this.#leaveOutSlow();
    for (const [lane, waiting] of this.#lanes) {
      if (this.#begun.size >= CHECKS_AT_ONCE) break;
      const resolve = waiting.shift()!;
      this.#lanes.delete(lane);
      // Its next one goes to the end.
      if (waiting.length > 0) this.#lanes.set(lane, waiting);
      this.#waiting--;
      resolve(this.#begin());
    }
    if (this.#waiting > 0) this.#timer ??= this.#scheduler.after(SLOW_MS, this.#look);
  }

  readonly #look = (): void => {
    this.#timer = null;
    this.#next();
  };

  #leaveOutSlow(): void {
    const atMs = this.#scheduler.nowMs() - SLOW_MS;
    for (const check of this.#begun) {
      if (check.sinceMs > atMs) return;
      this.#begun.delete(check);
    }
  }
}
