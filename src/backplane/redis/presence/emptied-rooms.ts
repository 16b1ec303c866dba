/**
 * Rooms that this node has left and that are still on its list in the store. On a cluster they stay there for a while: the server of a
 * room may fail over without the newest leaves, while the server of the list loses nothing. The list then names the room to whoever
 * removes what came back.
 */

/** A room that stays on the list costs whoever sweeps this node one look. */
const MOST_ROOMS = 10_000;

export class EmptiedRooms {
  readonly #keptMs: number;
  readonly #isIn: (room: string) => boolean;
  /** When each was left: the latest last. */
  readonly #sinceMs = new Map<string, number>();

  /** `isIn`: whether this node has entries in a room, or is about to. */
  constructor(keptMs: number, isIn: (room: string) => boolean) {
    this.#keptMs = keptMs;
    this.#isIn = isIn;
  }

  /** One that this node is in may be on a list that was swept. There may be more of these than of those that it left. */
  add(room: string, nowMs: number): void {
    if (this.#isIn(room)) return;
    this.#sinceMs.delete(room);
    this.#sinceMs.set(room, nowMs);
  }

  /** Takes those that were left long enough ago, and the oldest of too many, except those that this node is in again. */
  takeDue(nowMs: number): string[] {
    const due: string[] = [];
    for (const [room, sinceMs] of this.#sinceMs) {
      if (nowMs - sinceMs < this.#keptMs && this.#sinceMs.size <= MOST_ROOMS) break;
      this.#sinceMs.delete(room);
      if (!this.#isIn(room)) due.push(room);
    }
    return due;
  }
}
