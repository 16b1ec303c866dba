/** How a client behaves toward its nodes, where nothing is lost if it does not: it only costs everyone more. */
import type { InspectedFrame } from '../../../src/client/inspector.ts';
import type { ClientStatus } from '../../../src/client/status.ts';

/** A connection that lasted longer than this was a good one: attempts are counted anew. */
const GOOD_MS = 6_000;

export class Manners {
  readonly #complain: (what: string) => void;
  /** Joins that were not answered, by room. */
  readonly #joining = new Map<string, number>();
  #connectedAtMs: number | null = null;
  /** Connections that were lost. */
  losses = 0;

  constructor(complain: (what: string) => void) {
    this.#complain = complain;
  }

  status(status: ClientStatus): void {
    if (status.state === 'connected') this.#connectedAtMs = performance.now();
    if (status.state !== 'waiting') return;
    this.#joining.clear();
    if (this.#connectedAtMs === null) return;
    this.losses++;
    const lastedMs = performance.now() - this.#connectedAtMs;
    this.#connectedAtMs = null;
    if (lastedMs > GOOD_MS && status.attempt > 1)
      this.#complain(`begins with attempt ${status.attempt} after a good connection`);
  }

  frame({ frame }: InspectedFrame): void {
    const [type, id, room] = frame;
    if (type === 'join') {
      if (this.#joining.has(room as string)) this.#complain(`joins ${room} twice at once`);
      this.#joining.set(room as string, id as number);
    } else if (type === 'leave') this.#joining.delete(room as string);
    else if (type === 'ok' || type === 'error') {
      for (const [name, asked] of this.#joining) if (asked === id) this.#joining.delete(name);
    }
  }
}
