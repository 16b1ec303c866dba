import { overLimit } from '../../connection/over-limit.ts';
import type { ReadStats } from '../../metrics/reads.ts';
import type { ErrorDetails } from '../../protocol/frames.ts';
import { ByteBudget } from '../../util/byte-budget.ts';
import { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler, Timer } from '../../util/scheduler.ts';

/** The requester: a connection, or a route of the server API. */
export interface Reader {
  /** False once no one waits for the answers. */
  readonly isOpen: boolean;
  /** So much waits for its peer that more would only be kept here. */
  readonly isBehind: boolean;
  /** A route of the server API, shared by all of its users: only the node's budget limits it. */
  readonly isServer?: true;
}

/** What was read, and what it cost in bytes. */
export interface Costed<T> {
  readonly value: T;
  readonly bytes: number;
}

export interface ReadGateOptions {
  /** Maximum concurrent reads. With 1, and reads that end in the turn they start in, a turn serves one. */
  readonly atOnce: number;
  /** Bytes that one reader may sustain per second; 0: no limit. */
  readonly bytesPerSecond: number;
  /** Reads of one reader that may wait. */
  readonly mostWaiting: number;
  readonly scheduler: Scheduler;
  readonly stats: ReadStats;
}

/** A read that was not started, because too many of its reader's reads wait. */
export class ReadRefused extends Error {
  override readonly name = 'ReadRefused';
  readonly code = 'rate_limited';
  readonly retryAfterMs: number;
  /** As an `error` frame carries them. */
  readonly details: ErrorDetails;

  /** `most`: how many of one reader may wait; null for a route of the server API. */
  constructor(retryAfterMs: number, most: number | null) {
    const limit = 'limits.waitingReads';
    const refusal =
      most === null
        ? { message: 'too many waiting reads', details: { retryAfterMs } }
        : overLimit('rate_limited', 'too many waiting reads', limit, most, retryAfterMs);
    // Nobody reads its stack, and taking one is most of what a refusal costs.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(refusal.message);
    Error.stackTraceLimit = stackTraceLimit;
    this.retryAfterMs = retryAfterMs;
    this.details = refusal.details;
  }
}

const MAX_WAITING_OF_SERVER = 1_000;
/** For all readers together. */
const MAX_WAITING_IN_ALL = 20_000;
/** The minimum cost of an answer: finding it is work too. */
const LEAST_COST = 8 * 1024;
/** A reader may have two seconds' worth at once, and all readers together eight times the rate of one. */
const BURST_SECONDS = 2;
const READERS_AT_FULL_RATE = 8;
const LEAST_RETRY_MS = 100;
/** When to check a stalled reader again, unless its socket drains before. */
const BEHIND_MS = 100;
const LONGEST_TIMER_MS = 1_000;

interface Lane {
  readonly reader: Reader;
  readonly budget: ByteBudget;
  waiting: (() => Promise<number>)[];
  isReading: boolean;
}

/**
 * Reads of the store for clients: pages of history, lists of members. Thirty bytes request a megabyte, so
 * each reader has one read in flight, the readers take turns, few reads run at a time, and their bytes are
 * paid for. Further reads wait, within limits. The node's own reads to catch up its members do not go through
 * here.
 */
export class ReadGate {
  readonly #options: ReadGateOptions;
  readonly #lanes = new Map<Reader, Lane>();
  /** Lanes with waiting reads and none in flight, in the order of their turns. */
  #turns: Lane[] = [];
  readonly #budget: ByteBudget;
  #reading = 0;
  #waiting = 0;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  readonly #endOfTurn: EndOfTurn;
  /** A read has ended in this turn: the others get the rest of it. */
  #isResting = false;

  constructor(options: ReadGateOptions) {
    this.#options = options;
    this.#endOfTurn = new EndOfTurn(options.scheduler, () => {
      this.#isResting = false;
      this.#serve();
    });
    const inAll = options.bytesPerSecond * READERS_AT_FULL_RATE;
    this.#budget = new ByteBudget(inAll, inAll);
  }

  get reading(): number {
    return this.#reading;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Settles as `work` does, once its turn has come. Rejects with `ReadRefused`. Never settles for a reader
   * that left.
   */
  run<T>(reader: Reader, work: () => Promise<Costed<T>>): Promise<T> {
    // `left` may have been called already: nothing would take its lane away.
    if (!reader.isOpen) return new Promise(() => undefined);
    const lane = this.#lane(reader);
    const { mostWaiting } = this.#options;
    const most = reader.isServer ? MAX_WAITING_OF_SERVER : mostWaiting;
    if (lane.waiting.length >= most || this.#waiting >= MAX_WAITING_IN_ALL) {
      this.#options.stats.refused++;
      const waitMs = lane.budget.waitMs(this.#options.scheduler.nowMs());
      return Promise.reject(
        new ReadRefused(Math.max(LEAST_RETRY_MS, waitMs), reader.isServer ? null : mostWaiting),
      );
    }
    return new Promise((resolve, reject) => {
      const read = (): Promise<number> =>
        work().then(
          ({ value, bytes }) => {
            resolve(value);
            return bytes;
          },
          (error: unknown) => {
            reject(error);
            return 0;
          },
        );
      lane.waiting.push(read);
      this.#waiting++;
      if (lane.waiting.length === 1 && !lane.isReading) this.#turns.push(lane);
      this.#serve();
    });
  }

  /** The reader is gone: forgets its waiting reads. */
  left(reader: Reader): void {
    const lane = this.#lanes.get(reader);
    this.#lanes.delete(reader);
    if (lane !== undefined) this.#forget(lane);
  }

  #forget(lane: Lane): void {
    this.#waiting -= lane.waiting.length;
    lane.waiting = [];
  }

  /** The reader has room again. */
  drained(reader: Reader): void {
    if (this.#lanes.has(reader)) this.#serve();
  }

  #lane(reader: Reader): Lane {
    let lane = this.#lanes.get(reader);
    if (lane === undefined) {
      const bytesPerSecond = reader.isServer ? 0 : this.#options.bytesPerSecond;
      const budget = new ByteBudget(bytesPerSecond, bytesPerSecond * BURST_SECONDS);
      lane = { reader, budget, waiting: [], isReading: false };
      this.#lanes.set(reader, lane);
    }
    return lane;
  }

  /** Starts the reads that may start now, and schedules the next look at the rest. */
  #serve(): void {
    if (this.#isResting) return;
    const nowMs = this.#options.scheduler.nowMs();
    let waitMs = this.#budget.waitMs(nowMs);
    if (waitMs === 0) {
      waitMs = LONGEST_TIMER_MS;
      for (let left = this.#turns.length; left > 0 && this.#reading < this.#options.atOnce; left--) {
        const lane = this.#turns.shift()!;
        if (!lane.reader.isOpen) this.#forget(lane);
        if (lane.waiting.length === 0) continue;
        const laneMs = lane.reader.isBehind ? BEHIND_MS : lane.budget.waitMs(nowMs);
        if (laneMs === 0) this.#begin(lane);
        else this.#turns.push(lane);
        waitMs = Math.min(waitMs, laneMs === 0 ? waitMs : laneMs);
      }
    }
    // A read that ends looks again by itself.
    if (this.#turns.length > 0 && this.#reading < this.#options.atOnce) this.#lookAgainAt(nowMs + waitMs);
  }

  #lookAgainAt(atMs: number): void {
    if (this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    const look = () => {
      this.#timerAtMs = Infinity;
      this.#serve();
    };
    const { scheduler } = this.#options;
    this.#timer = scheduler.after(Math.ceil(atMs - scheduler.nowMs()), look);
  }

  #begin(lane: Lane): void {
    const read = lane.waiting.shift()!;
    this.#waiting--;
    lane.isReading = true;
    this.#reading++;
    void read().then((bytes) => this.#ended(lane, bytes));
  }

  #ended(lane: Lane, bytes: number): void {
    const { scheduler, stats } = this.#options;
    const nowMs = scheduler.nowMs();
    const cost = Math.max(LEAST_COST, bytes);
    stats.answered++;
    stats.bytes += bytes;
    lane.budget.spend(cost, nowMs);
    this.#budget.spend(cost, nowMs);
    lane.isReading = false;
    this.#reading--;
    if (lane.waiting.length > 0) this.#turns.push(lane);
    this.#forgetPaid(nowMs);
    this.#isResting = true;
    this.#endOfTurn.request();
  }

  /** Forgets idle lanes, a few at a time: as many as are created at a time. */
  #forgetPaid(nowMs: number): void {
    let looked = 0;
    for (const [reader, lane] of this.#lanes) {
      if (++looked > 4) return;
      this.#lanes.delete(reader);
      const isNeeded = lane.isReading || lane.waiting.length > 0 || !lane.budget.isWhole(nowMs);
      if (isNeeded && reader.isOpen) this.#lanes.set(reader, lane);
    }
  }
}
