import { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import { FREE_BYTES } from './unfinished-bodies.ts';

/** Four times what uWebSockets.js reads of one socket at once: less than a millisecond of copying. */
export const BODY_BYTES_A_TURN = 2 * 1_048_576;
/**
 * What all of them bring in at most, of clients that nobody knows yet: half a millisecond to a millisecond for each MiB. A socket
 * is read once before it can be paused, so many new ones bring in more than the turn's bytes.
 */
export const MOST_BODY_BYTES_A_TURN = 8 * 1_048_576;
/** What a request that goes on is likely to bring at once. */
const LIKELY_BYTES = 512 * 1024;

/** The request whose body arrives. */
export interface BodySource {
  /** Stops reading its socket. */
  pause(): void;
  resume(): void;
}

/**
 * Spreads the bodies of requests over turns of the event loop: hundreds of sockets may each have half a megabyte
 * ready, and nothing else is served while a turn reads them. Those beyond what a turn reads are paused, and go on in the
 * order in which they came. A request that does not use its turn keeps nobody waiting.
 */
export class BodyTurns {
  readonly #endOfTurn: EndOfTurn;
  readonly #paused = new Set<BodySource>();
  #left = BODY_BYTES_A_TURN;
  #kept = 0;

  constructor(scheduler: Pick<Scheduler, 'atEndOfTurn'>) {
    this.#endOfTurn = new EndOfTurn(scheduler, () => this.#nextTurn());
  }

  /** Requests whose bodies wait. */
  get waiting(): number {
    return this.#paused.size;
  }

  /** Whether so many bytes of a body may still be kept in this turn; then they are counted. Small ones always may. */
  keeps(bytes: number): boolean {
    this.#endOfTurn.request();
    if (bytes > FREE_BYTES && this.#kept + bytes > MOST_BODY_BYTES_A_TURN) return false;
    this.#kept += bytes;
    return true;
  }

  /** So many bytes of this body arrived, and it is not whole. */
  arrived(source: BodySource, bytes: number): void {
    this.#endOfTurn.request();
    this.#left -= bytes;
    // Who waits is next, before one that goes on.
    const isWithin = this.#left > 0 && this.#paused.size === 0;
    if (isWithin || this.#paused.has(source)) return;
    this.#paused.add(source);
    source.pause();
  }

  /** Nobody waits for the rest of this body. Its socket must be read again unless it `isGone`. Harmless twice. */
  end(source: BodySource, isGone: boolean): void {
    if (this.#paused.delete(source) && !isGone) source.resume();
  }

  #nextTurn(): void {
    this.#left = BODY_BYTES_A_TURN;
    this.#kept = 0;
    let ready = BODY_BYTES_A_TURN / LIKELY_BYTES;
    for (const source of this.#paused) {
      if (ready-- === 0) break;
      this.end(source, false);
    }
    if (this.#paused.size > 0) this.#endOfTurn.request();
  }
}
