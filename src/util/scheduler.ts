/**
 * All that a part wants from outside its inputs: the time, timers, the end of the turn, chance. Handed in, so that a test
 * decides when each of them happens.
 */
import { type Clock, systemClock } from './clock.ts';

export interface Timer {
  /** Harmless when the timer has fired, and when called again. */
  cancel(): void;
}

export interface Scheduler extends Clock {
  /** Runs `work` once, no earlier than after so many milliseconds. The timer does not keep the process alive. */
  after(milliseconds: number, work: () => void): Timer;
  /** Runs `work` again and again, so many milliseconds apart. The timer does not keep the process alive. */
  every(milliseconds: number, work: () => void): Timer;
  /** Runs `work` at the end of the event loop's present turn, or of the next one, in the order of the calls. */
  atEndOfTurn(work: () => void): void;
  /** A number from 0 up to 1. */
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
  random: () => Math.random(),
};
