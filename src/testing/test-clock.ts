import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { atRealEndOfTurn, type Scheduler, systemScheduler, type Timer } from '../util/scheduler.ts';

/** A clock that a test can move. It is a `Scheduler`, which a client may be given too. */
export interface MovableClock extends Scheduler {
  /**
   * Moves time ahead, and fires the timers that come due, in their order and each at its own moment. What a
   * timer sets off has arrived before the next one fires. Resolves when all has arrived; rejects with what a
   * timer threw.
   */
  advance(milliseconds: number): Promise<void>;
  /** Timers that have not fired, of the broker and of clients. */
  readonly timerCount: number;
}

/** A timer that has not fired. */
interface Pending {
  readonly work: () => void;
  readonly everyMs: number | null;
  dueMs: number;
}

export interface TestClockOptions {
  /** What the wall clock shows at first, in milliseconds since the Unix epoch. */
  readonly startMs: number;
  /** Whether time passes by itself too, as on the clock of the machine. */
  readonly runs: boolean;
  /** Returns a number from 0 up to but not including 1. */
  readonly random: () => number;
  /** How long `settled` waits. Default ten seconds. */
  readonly settleLimitMs?: number;
}

/** Nothing is on its way when this many turns of the event loop in a row brought nothing. */
const QUIET_TURNS = 3;
/** Longer than any work of a test takes: somebody tries the same thing again and again. */
const SETTLE_LIMIT_MS = 10_000;
/** The longest delay that a timer of the process can have. */
const MAX_DELAY_MS = 2 ** 31 - 1;

const RESTLESS =
  'the broker does not come to rest: does a client try the same thing again at once, without waiting?';

/**
 * The clock of a test broker, and of the clients that are given it: time passes when the test says so, and by
 * itself unless it stands still.
 */
export class TestClock implements MovableClock {
  readonly random: () => number;
  readonly #wallAtZeroMs: number;
  readonly #runs: boolean;
  readonly #settleLimitMs: number;
  readonly #startedMs = systemScheduler.nowMs();
  /** How far it was moved. */
  #movedMs = 0;
  /** In the order in which they fire. */
  #timers: Pending[] = [];
  /** Of the process: for the first of them, if time passes by itself. */
  #alarm: Timer | null = null;
  /** Keeps the process alive while somebody waits for something that time will bring: timers of the process do not. */
  readonly #hold: MessagePort | null;
  #pending = 0;
  #isStopped = false;
  #advancing: Promise<void> = Promise.resolve();

  constructor({ startMs, runs, random, settleLimitMs = SETTLE_LIMIT_MS }: TestClockOptions) {
    this.#wallAtZeroMs = startMs;
    this.#runs = runs;
    this.#hold = runs ? new MessageChannel().port1 : null;
    this.#settleLimitMs = settleLimitMs;
    this.random = random;
  }

  /** Milliseconds since the broker started, by this clock. Never goes back. */
  readonly nowMs = (): number => this.#movedMs + this.#passedMs();

  /** Milliseconds since the Unix epoch, by this clock. */
  readonly wallMs = (): number => Math.round(this.#wallAtZeroMs + this.nowMs());

  after(milliseconds: number, work: () => void): Timer {
    return this.#add({ work, everyMs: null, dueMs: this.nowMs() + milliseconds });
  }

  every(milliseconds: number, work: () => void): Timer {
    return this.#add({ work, everyMs: milliseconds, dueMs: this.nowMs() + milliseconds });
  }

  /** Turns are those of the process: they need no time. */
  atEndOfTurn(work: () => void): void {
    this.#pending++;
    atRealEndOfTurn(() => {
      this.#pending--;
      work();
    });
  }

  advance(milliseconds: number): Promise<void> {
    if (!(milliseconds >= 0)) throw new RangeError(`time cannot be moved by ${milliseconds} ms`);
    const done = this.#advancing.then(() => this.#advance(milliseconds));
    this.#advancing = done.catch(() => undefined);
    return done;
  }

  /**
   * Resolves when nothing is on its way any more at the present moment: each message that was sent has been
   * handled, and what that caused has arrived. What waits for time to pass still waits. Rejects after ten
   * seconds that brought no rest, as with a client that reconnects at once to a broker that is offline.
   */
  settled(): Promise<void> {
    return this.#quiet(QUIET_TURNS);
  }

  /** Work that goes on outside of turns and timers: `settled` waits for it. */
  track<T>(work: Promise<T>): Promise<T> {
    this.#pending++;
    return work.finally(() => {
      this.#pending--;
    });
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  /** Forgets all timers: none fires any more, and none is taken. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timers = [];
    this.#setAlarm();
    const hold = this.#hold;
    if (hold !== null) await new Promise<void>((resolve) => hold.once('close', resolve).close());
  }

  async #advance(milliseconds: number): Promise<void> {
    await this.settled();
    const untilMs = this.nowMs() + milliseconds;
    for (let next = this.#timers[0]; next && next.dueMs <= untilMs; next = this.#timers[0]) {
      this.#moveTo(next.dueMs);
      this.#fire(next);
      await this.#quiet(1);
    }
    this.#moveTo(untilMs);
    await this.settled();
  }

  /** Resolves at the end of the event loop's turn, whatever is on its way. */
  turn(): Promise<void> {
    return new Promise((resolve) => atRealEndOfTurn(resolve));
  }

  async #quiet(turns: number): Promise<void> {
    const limitMs = systemScheduler.nowMs() + this.#settleLimitMs;
    for (let quiet = 0; quiet < turns; ) {
      await this.turn();
      quiet = this.#pending === 0 ? quiet + 1 : 0;
      if (quiet === 0 && systemScheduler.nowMs() > limitMs) throw new Error(RESTLESS);
    }
  }

  /** What has passed by itself. */
  #passedMs(): number {
    return this.#runs ? systemScheduler.nowMs() - this.#startedMs : 0;
  }

  #moveTo(ms: number): void {
    const passedMs = this.#passedMs();
    this.#movedMs = Math.max(this.#movedMs, ms - passedMs);
    this.#setAlarm();
  }

  #add(timer: Pending): Timer {
    if (!this.#isStopped) this.#insert(timer);
    return { cancel: () => this.#remove(timer) };
  }

  /** After those that are due at the same moment. */
  #insert(timer: Pending): void {
    const at = this.#timers.findLastIndex(({ dueMs }) => dueMs <= timer.dueMs) + 1;
    this.#timers.splice(at, 0, timer);
    this.#setAlarm(at);
  }

  #remove(timer: Pending): void {
    const at = this.#timers.indexOf(timer);
    if (at === -1) return;
    this.#timers.splice(at, 1);
    this.#setAlarm(at);
  }

  #fire(timer: Pending): void {
    this.#remove(timer);
    if (timer.everyMs !== null) {
      timer.dueMs += timer.everyMs;
      this.#insert(timer);
    }
    timer.work();
  }

  /** `changedAt`: where in the list a timer came or went. */
  #setAlarm(changedAt = 0): void {
    if (this.#hold === null) return;
    // Heartbeats and the like go on for ever, and keep nobody alive.
    if (this.#timers.some(({ everyMs }) => everyMs === null)) this.#hold.ref();
    else this.#hold.unref();
    if (changedAt > 0) return;
    this.#alarm?.cancel();
    this.#alarm = null;
    const first = this.#timers[0];
    if (first === undefined) return;
    const delayMs = Math.min(Math.max(0, first.dueMs - this.nowMs()), MAX_DELAY_MS);
    this.#alarm = systemScheduler.after(delayMs, () => this.#ring());
  }

  #ring(): void {
    const nowMs = this.nowMs();
    const due = this.#timers.filter(({ dueMs }) => dueMs <= nowMs);
    for (const timer of due) if (this.#timers.includes(timer)) this.#fire(timer);
    this.#setAlarm();
  }
}
