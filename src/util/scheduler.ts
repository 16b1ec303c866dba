/**
 * Everything a part needs beyond its inputs: the time, timers, the end of the turn, random numbers. Passed
 * in, so that a test decides when each of them happens.
 */
import { type Clock, systemClock } from './clock.ts';

export interface Timer {
  /** Harmless after the timer has fired, and when called again. */
  cancel(): void;
}

export interface Scheduler extends Clock {
  /** Runs `work` once, after at least this many milliseconds. The timer does not keep the process alive. */
  after(milliseconds: number, work: () => void): Timer;
  /** Runs `work` repeatedly, this many milliseconds apart. The timer does not keep the process alive. */
  every(milliseconds: number, work: () => void): Timer;
  /**
   * Runs `work` at the end of the event loop's current turn, or of the next one, in the order of the calls.
   */
  atEndOfTurn(work: () => void): void;
  /** Milliseconds of CPU that the process has taken so far. Absent where only the clock decides: then it takes none. */
  cpuMs?(): number;
  /** A number from 0 up to but not including 1. */
  random(): number;
}

export const systemScheduler: Scheduler = {
  ...systemClock,
  after(milliseconds, work) {
    const timer = setTimeout(work, milliseconds).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(milliseconds, work) {
    const timer = setInterval(work, milliseconds).unref();
    return { cancel: () => clearInterval(timer) };
  },
  atEndOfTurn(work) {
    setImmediate(work);
  },
  cpuMs() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
  random: () => Math.random(),
};

const { setImmediate: realSetImmediate } = globalThis;

/** As `systemScheduler.atEndOfTurn`, also while a test has something else in place of the timers of its process. */
export function atRealEndOfTurn(work: () => void): void {
  realSetImmediate(work);
}
