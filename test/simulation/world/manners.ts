/** How a client behaves toward its nodes, where nothing is lost if it does not: it only costs everyone more. */
import type { InspectedFrame } from '../../../src/client/inspector.ts';
import type { ClientStatus } from '../../../src/client/status.ts';
import type { JoinOptions } from '../../../src/protocol/frames.ts';

/** A connection that lasted longer than this was a good one: attempts are counted anew. */
const GOOD_MS = 6_000;

/** Clocks of nodes jump by less than this, mostly. */
const CLOCK_ERROR_MS = 10_000;
/** Waits that grow from 100 ms are longer than this together, however they are drawn. */
const HURRIED_ATTEMPTS = 12;
const HURRY_MS = 900;

export class Manners {
  readonly #complain: (what: string) => void;
  /** Joins that were not answered, by room. */
  readonly #joining = new Map<string, number>();
  #connectedAtMs: number | null = null;
  /** Of the connections that were tried since the last one that was made. */
  #attempts: number[] = [];
  /** Connections that were lost. */
  losses = 0;

  constructor(complain: (what: string) => void) {
    this.#complain = complain;
  }

  /** A socket is opened. `url` has the token, a user and when it expires. */
  connecting(url: string): void {
    const expiresAtMs = Number(/~(\d+)/.exec(decodeURIComponent(url))?.[1] ?? Number.POSITIVE_INFINITY);
    // Where clocks were set a node has to tell.
    if (expiresAtMs < Date.now() - CLOCK_ERROR_MS) this.#complain('presents a token that has expired');
    this.#attempts.push(performance.now());
    const first = this.#attempts.at(-HURRIED_ATTEMPTS);
    if (first !== undefined && performance.now() - first < HURRY_MS)
      this.#complain(`connects ${HURRIED_ATTEMPTS} times within ${HURRY_MS} ms`);
  }

  status(status: ClientStatus): void {
    if (status.state === 'connected') {
      this.#connectedAtMs = performance.now();
      this.#attempts = [];
    }
    if (status.state !== 'waiting') return;
    this.#joining.clear();
    if (this.#connectedAtMs === null) return;
    this.losses++;
    const lastedMs = performance.now() - this.#connectedAtMs;
    this.#connectedAtMs = null;
    if (lastedMs > GOOD_MS && status.attempt > 1)
      this.#complain(`begins with attempt ${status.attempt} after a good connection`);
  }

  /** `presenceIn`: what it says of itself in a room. */
  frame({ frame }: InspectedFrame, presenceIn: (room: string) => unknown): void {
    const [type, id, room] = frame;
    if (type === 'join') {
      const { data = null } = (frame[3] ?? {}) as JoinOptions;
      if (data === null && presenceIn(room as string) !== undefined)
        this.#complain(`joins ${room} without its data`);
      if (this.#joining.has(room as string)) this.#complain(`joins ${room} twice at once`);
      this.#joining.set(room as string, id as number);
    } else if (type === 'leave') this.#joining.delete(room as string);
    else if (type === 'ok' || type === 'error') {
      for (const [name, asked] of this.#joining) if (asked === id) this.#joining.delete(name);
    }
  }
}
