/** Time, timers and chance for code that runs in browsers and in programs alike. */
import { systemClock } from './clock.ts';
import type { Scheduler } from './scheduler.ts';

/** Timers that are set for longer fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Unlike those of `systemScheduler`, its timers keep a program alive: one that waits to reconnect has not ended. The end of the turn
 * is the end of the current task, since pages have nothing later that is not throttled.
 */
export const portableScheduler: Omit<Scheduler, 'every'> = {
  ...systemClock,
  after(milliseconds, work) {
    const timer = setTimeout(work, Math.min(milliseconds, LONGEST_MS));
    return { cancel: () => clearTimeout(timer) };
  },
  atEndOfTurn(work) {
    queueMicrotask(work);
  },
  random: () => Math.random(),
};
