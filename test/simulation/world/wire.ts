/** One direction of a link: what is put in arrives in order, some time later, unless the link is cut. */
import type { Loop, Owner, Task } from './loop.ts';

export interface WireParts<T> {
  readonly loop: Loop;
  /** Whose the far end is. */
  readonly to: Owner;
  /** How long what is put in now takes. */
  readonly latencyMs: () => number;
  readonly arrived: (what: T) => void;
}

interface OnTheWay<T> {
  readonly what: T;
  readonly bytes: number;
  readonly dueMs: number;
}

export class Wire<T> {
  readonly #parts: WireParts<T>;
  readonly #queue: OnTheWay<T>[] = [];
  #bytes = 0;
  #lastDueMs = 0;
  #timer: Task | null = null;
  #isPaused = false;
  #isDead = false;
  /** Called when a paused reader has read everything. */
  drained: (() => void) | null = null;

  constructor(parts: WireParts<T>) {
    this.#parts = parts;
  }

  put(what: T, bytes: number): void {
    if (this.#isDead) return;
    const { loop, latencyMs } = this.#parts;
    const dueMs = Math.max(this.#lastDueMs, loop.nowMs + latencyMs());
    this.#lastDueMs = dueMs;
    this.#queue.push({ what, bytes, dueMs });
    this.#bytes += bytes;
    this.#schedule();
  }

  /** Bytes that have not arrived. */
  get bytes(): number {
    return this.#bytes;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The far end reads nothing until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#schedule();
  }

  /** Nothing arrives any more, and nobody is told. Returns what was on its way. */
  die(): T[] {
    this.#isDead = true;
    this.#bytes = 0;
    return this.#queue.splice(0).map(({ what }) => what);
  }

  #schedule(): void {
    const [first] = this.#queue;
    if (first === undefined || this.#timer !== null || this.#isPaused || this.#isDead) return;
    const { loop, to } = this.#parts;
    this.#timer = loop.after(first.dueMs - loop.nowMs, () => this.#deliver(), to);
  }

  #deliver(): void {
    this.#timer = null;
    const { loop, arrived } = this.#parts;
    // Each in a task of its own; what is due at once still comes in one turn.
    const [first] = this.#queue;
    if (first === undefined || this.#isPaused || this.#isDead) return;
    if (first.dueMs <= loop.nowMs) {
      this.#queue.shift();
      this.#bytes -= first.bytes;
    }
    this.#schedule();
    if (first.dueMs <= loop.nowMs) arrived(first.what);
    if (this.#queue.length === 0) this.drained?.();
  }
}
