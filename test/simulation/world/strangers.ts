/**
 * Servers that were promoted while they had no slot that is used. Nodes have no links to such servers. When a slot arrives there, nodes
 * cannot tell whether the promotion came before that or after it, and lost writes: so its rooms begin anew, as documented.
 */

/** Nodes have links to it by then. */
const KNOWN_MS = 6_000;

export class Strangers<Server> {
  readonly #nowMs: () => number;
  /** Until when nodes do not know them. */
  readonly #untilMs = new Map<Server, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  promoted(server: Server, isUsed: boolean): void {
    if (isUsed) this.#untilMs.delete(server);
    else this.#untilMs.set(server, Number.POSITIVE_INFINITY);
  }

  /** A slot is about to arrive there. Returns whether nodes may not know the server. */
  meet(server: Server): boolean {
    const untilMs = this.#untilMs.get(server);
    if (untilMs === undefined) return false;
    if (untilMs === Number.POSITIVE_INFINITY) this.#untilMs.set(server, this.#nowMs() + KNOWN_MS);
    return this.#nowMs() < untilMs;
  }
}
