/**
 * The event loop of a simulated world: time that stands still while code runs and jumps to whatever comes next. All that happens is a
 * task of somebody (a node, a client, Redis). Who is dead gets none; who is frozen gets them when it goes on.
 *
 * Nothing here is asynchronous: after each task its promises and ticks are run to the end, so a run is one long synchronous call,
 * and the same seed gives the same run.
 */
import type { Random } from '../../support/random.ts';

/** One machine: a node, a client, Redis. */
export class Owner {
  readonly name: string;
  isDead = false;
  /** What its wall clock is ahead of the world's, in ms. */
  wallAheadMs = 0;
  /** Tasks that wait until it goes on; null while it runs. */
  held: Task[] | null = null;
  /** The last time that it stood still: since when and until when, each infinite while that has not happened. */
  frozenAtMs = Number.POSITIVE_INFINITY;
  thawedAtMs = Number.POSITIVE_INFINITY;
  /** Called after each of its tasks: what a native library does between callbacks. */
  afterTask: (() => void) | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

export interface Task {
  readonly owner: Owner;
  work: (() => void) | null;
  dueMs: number;
  order: number;
  /** Asked for by `setTimeout` or `setInterval`; else by the world. */
  isTimer?: boolean;
  /** By `setInterval`. */
  isRepeated?: boolean;
  /** Where it was asked for, with `SIMULATION_STACKS`. */
  readonly stack: string | undefined;
}

/** Node's own: runs ticks and promises to their end. It has no public name. */
const { _tickCallback: runTicks } = process as unknown as { _tickCallback(): void };

/** When the world begins, in ms since the Unix epoch. */
const BEGINNING_MS = Date.UTC(2030, 0, 1);
const MOST_LATE_MS = 1;
/** Tasks at one moment. Runs have some hundreds of them; more is somebody who asks for a next turn in each turn, for ever. */
const MOST_AT_ONCE = 20_000;

export class Loop {
  nowMs = 0;
  /** Whose task runs. */
  current: Owner;
  /** Tasks that ran. */
  tasks = 0;
  /** No task runs any more. */
  isStopped = false;
  readonly world = new Owner('world');
  readonly #random: Random;
  readonly #threw: (error: unknown, owner: Owner) => void;
  readonly #neverRests: (owner: Owner) => void;
  readonly #timed: Task[] = [];
  #momentMs = 0;
  #atOnce = 0;
  #atEnd: Task[] = [];
  #order = 0;

  /** `threw`: a task threw, which would have ended a process. `neverRests`: its turns follow each other without end. */
  constructor(
    random: Random,
    threw: (error: unknown, owner: Owner) => void,
    neverRests: (owner: Owner) => void,
  ) {
    this.#random = random;
    this.#threw = threw;
    this.#neverRests = neverRests;
    this.current = this.world;
  }

  /** Milliseconds since the Unix epoch, on the clock of whose task runs. */
  get wallMs(): number {
    return BEGINNING_MS + this.nowMs + this.current.wallAheadMs;
  }

  wallMsOf(owner: Owner): number {
    return BEGINNING_MS + this.nowMs + owner.wallAheadMs;
  }

  after(delayMs: number, work: () => void, owner = this.current): Task {
    const task = {
      owner,
      work,
      dueMs: this.nowMs + Math.max(0, delayMs),
      order: ++this.#order,
      stack: stackNow(),
    };
    this.#push(task);
    return task;
  }

  atEndOfTurn(work: () => void, owner = this.current): Task {
    const task = { owner, work, dueMs: this.nowMs, order: ++this.#order, stack: stackNow() };
    this.#atEnd.push(task);
    return task;
  }

  cancel(task: Task): void {
    // It stays where it is, and does nothing when its time comes.
    task.work = null;
  }

  freeze(owner: Owner): void {
    if (owner.held !== null) return;
    owner.held = [];
    owner.frozenAtMs = this.nowMs;
    owner.thawedAtMs = Number.POSITIVE_INFINITY;
  }

  thaw(owner: Owner): void {
    if (owner.held === null) return;
    const { held } = owner;
    owner.held = null;
    owner.thawedAtMs = this.nowMs;
    for (const task of held) {
      task.dueMs = Math.max(task.dueMs, this.nowMs);
      this.#push(task);
    }
  }

  /** Tasks of an owner that have not run: timers, and what is on its way to it. */
  pendingOf(owner: Owner): Task[] {
    return [...this.#timed, ...this.#atEnd].filter((task) => task.owner === owner && task.work !== null);
  }

  /** Until a moment, or until `isOver`. */
  run(untilMs: number, isOver: () => boolean = () => false): void {
    while (!this.isStopped && !isOver() && this.#turn(untilMs)) {
      // A turn at a time.
    }
    if (!this.isStopped && !isOver()) this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /** One turn: what is due, in its order, then what was asked for its end. False when nothing is due by then. */
  #turn(untilMs: number): boolean {
    if (this.#atEnd.length === 0) {
      const first = this.#first();
      if (first === undefined || first.dueMs > untilMs) return false;
      this.nowMs = Math.max(this.nowMs, first.dueMs);
      // A busy loop comes late, and finds several things at once.
      if (this.#random.next() < 0.2)
        this.nowMs = Math.min(untilMs, this.nowMs + this.#random.next() * MOST_LATE_MS);
    }
    for (
      let next = this.#first();
      next !== undefined && next.dueMs <= this.nowMs && !this.isStopped;
      next = this.#first()
    ) {
      this.#pop();
      this.#run(next);
    }
    const atEnd = this.#atEnd;
    this.#atEnd = [];
    for (const task of atEnd) this.#run(task);
    return true;
  }

  #run(task: Task): void {
    const { owner, work } = task;
    if (work === null || owner.isDead) return;
    if (owner.held !== null) {
      owner.held.push(task);
      return;
    }
    task.work = null;
    this.tasks++;
    this.as(owner, work);
    this.#checkMoves(owner);
  }

  /** Time that no longer moves is a busy loop: the run ends there. */
  #checkMoves(owner: Owner): void {
    if (this.#momentMs !== this.nowMs) this.#atOnce = 0;
    this.#momentMs = this.nowMs;
    if (++this.#atOnce !== MOST_AT_ONCE) return;
    this.isStopped = true;
    this.#neverRests(owner);
  }

  /** Runs work of an owner now, with all that its promises bring. */
  as(owner: Owner, work: () => void): void {
    const before = this.current;
    this.current = owner;
    try {
      work();
      runTicks();
      if (owner.afterTask !== null) {
        owner.afterTask();
        runTicks();
      }
    } catch (error) {
      this.#threw(error, owner);
    } finally {
      this.current = before;
    }
  }

  // ---- a heap by time and order --------------------------------------------------------------------------

  #first(): Task | undefined {
    while (this.#timed.length > 0 && this.#timed[0]!.work === null) this.#pop();
    return this.#timed[0];
  }

  #push(task: Task): void {
    const heap = this.#timed;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(task, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): void {
    const heap = this.#timed;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

/** Costs more than all else, so only where somebody looks for who left a timer. */
const KEEPS_STACKS = process.env.SIMULATION_STACKS !== undefined;

function stackNow(): string | undefined {
  return KEEPS_STACKS ? new Error('asked for').stack : undefined;
}

function isBefore(a: Task, b: Task): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
