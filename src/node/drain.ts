import type { Connection } from '../connection/connection.ts';
import { CLOSE } from '../protocol/codes.ts';

export interface DrainOptions {
  /** Milliseconds over which the `bye` frames are spread. */
  readonly windowMs: number;
  /** Returns a number from 0 up to but not including 1. */
  readonly random: () => number;
}

/** With few connections the window is shorter: this many milliseconds for each. */
const MS_PER_CONNECTION = 10;
/** How long after its `bye` a connection may still wait for the outcome of its publishes. */
const OUTCOME_WAIT_MS = 2_000;
/** The longest wait that a client is told. The pace does the spreading; this only blurs its edges. */
const MAX_WAIT_MS = 1_000;

/**
 * Moves connections to other nodes at an even pace, so that those nodes are not flooded: each connection gets
 * `bye` with its own delay, and is closed when its publishes have been answered. Decides only; the owner
 * calls `step`.
 */
export class Drain {
  readonly #waiting: Connection[];
  readonly #startedMs: number;
  readonly #perMs: number;
  readonly #options: DrainOptions;
  readonly #told: { connection: Connection; untilMs: number }[] = [];
  #toldCount = 0;

  constructor(connections: Iterable<Connection>, nowMs: number, options: DrainOptions) {
    this.#waiting = [...connections];
    this.#startedMs = nowMs;
    this.#options = options;
    const windowMs = Math.min(options.windowMs, this.#waiting.length * MS_PER_CONNECTION);
    this.#perMs = windowMs === 0 ? Number.POSITIVE_INFINITY : this.#waiting.length / windowMs;
  }

  /** Does what is due. Returns true when every connection is closed. */
  step(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#startedMs;
    const due = this.#perMs === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : elapsedMs * this.#perMs;
    while (this.#toldCount < due && this.#waiting.length > 0) this.#tell(this.#waiting.pop()!, nowMs);
    this.#closeAnswered(nowMs);
    return this.#waiting.length === 0 && this.#told.length === 0;
  }

  #tell(connection: Connection, nowMs: number): void {
    this.#toldCount++;
    if (!connection.isOpen) return;
    const longest = Math.min(MAX_WAIT_MS, this.#options.windowMs / 10);
    const reconnectAfterMs = Math.round(this.#options.random() * longest);
    connection.push(['bye', CLOSE.restart.code, { reconnectAfterMs }]);
    this.#told.push({ connection, untilMs: nowMs + OUTCOME_WAIT_MS });
  }

  #closeAnswered(nowMs: number): void {
    let kept = 0;
    for (const told of this.#told) {
      const { connection, untilMs } = told;
      if (connection.isOpen && connection.awaiting > 0 && nowMs < untilMs) this.#told[kept++] = told;
      else connection.close(CLOSE.restart);
    }
    this.#told.length = kept;
  }
}
