import type { Scheduler, Timer } from '../../src/util/scheduler.ts';
import { FakeClock } from './fake-clock.ts';

interface Pending {
  readonly work: () => void;
  readonly everyMs: number | null;
  dueMs: number;
}

/** Time, timers, turns and chance that happen when a test says so, in a fixed order. */
export class FakeScheduler extends FakeClock implements Scheduler {
  #timers: Pending[] = [];
  #atEnd: (() => void)[] = [];
  /** What `random` answers. */
  chance = 0.5;

  after(milliseconds: number, work: () => void): Timer {
    return this.#add({ work, everyMs: null, dueMs: this.nowMs() + milliseconds });
  }

  every(milliseconds: number, work: () => void): Timer {
    return this.#add({ work, everyMs: milliseconds, dueMs: this.nowMs() + milliseconds });
  }

  atEndOfTurn(work: () => void): void {
    this.#atEnd.push(work);
  }

  random(): number {
    return this.chance;
  }

  #add(timer: Pending): Timer {
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.length;
  }

  get hasEndOfTurn(): boolean {
    return this.#atEnd.length > 0;
  }

  /** Ends the turn: what was asked for until now runs; what that asks for waits for the next turn. */
  endTurn(afterEach: () => void = () => undefined): void {
    const works = this.#atEnd;
    this.#atEnd = [];
    for (const work of works) {
      work();
      afterEach();
    }
  }

  /** The next moment, at most so many milliseconds away, at which a timer is due; its timers have run then. */
  #step(untilMs: number): void {
    const dueMs = Math.min(untilMs, ...this.#timers.map((timer) => timer.dueMs));
    super.advance(dueMs - this.nowMs());
    for (const timer of this.#timers.filter((one) => one.dueMs <= dueMs)) {
      if (timer.everyMs === null) this.#timers = this.#timers.filter((other) => other !== timer);
      else timer.dueMs += timer.everyMs;
      timer.work();
    }
  }

  /** Lets time pass, and runs the timers that come due, in their order. */
  elapse(milliseconds: number): void {
    const untilMs = this.nowMs() + milliseconds;
    while (this.nowMs() < untilMs) this.#step(untilMs);
  }

  /** The same with time for what the timers began: `between` runs after each moment at which some did. */
  async pass(milliseconds: number, between: () => Promise<void>): Promise<void> {
    const untilMs = this.nowMs() + milliseconds;
    while (this.nowMs() < untilMs) {
      this.#step(untilMs);
      await between();
    }
  }
}
