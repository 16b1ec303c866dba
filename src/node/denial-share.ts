/** How many users a key of the HTTP API may keep out, where it is for some rooms only. */
import type { ServerKey } from '../auth/server-key.ts';
import { MAX_DENIALS } from '../backplane/denials.ts';
import type { Denied } from './denied.ts';

/** Of the list that all keys share, revocations included: ten such keys cannot fill what one can. */
export const DENIALS_OF_KEY = MAX_DENIALS / 10;
/** Counting looks at the whole list. */
const COUNTED_FOR_MS = 1000;

/**
 * Counts users who are kept out of the rooms that a key is for, whoever did it: this needs no record of who did what, and holds on all
 * nodes and after a restart.
 */
export class DenialShare {
  readonly #denied: Pick<Denied, 'keptOutCount' | 'keptOutOf' | 'leftMs'>;
  readonly #nowMs: () => number;
  readonly #counts = new Map<string, { count: number; readonly atMs: number }>();

  constructor(denied: Pick<Denied, 'keptOutCount' | 'keptOutOf' | 'leftMs'>, nowMs: () => number) {
    this.#denied = denied;
    this.#nowMs = nowMs;
  }

  /** Whether one more user may be kept out; counts it then. A user who is kept out already may be for longer. */
  allows(key: ServerKey | null, room: string, user: string): boolean {
    if (key === null || key.rooms === undefined) return true;
    if (this.#denied.keptOutCount < DENIALS_OF_KEY || this.#denied.leftMs(user, room) > 0) return true;
    const counted = this.#counted(key);
    if (counted.count >= DENIALS_OF_KEY) return false;
    counted.count++;
    return true;
  }

  #counted(key: ServerKey): { count: number } {
    const nowMs = this.#nowMs();
    const known = this.#counts.get(key.name);
    if (known !== undefined && nowMs - known.atMs < COUNTED_FOR_MS) return known;
    const counted = { count: this.#denied.keptOutOf(key.covers), atMs: nowMs };
    this.#counts.set(key.name, counted);
    return counted;
  }
}
