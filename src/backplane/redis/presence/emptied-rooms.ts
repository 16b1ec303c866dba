/**
 * Rooms that this node has left, but that stay on its list in the store for a while. This matters on a cluster: the server of a room may
 * fail over and lose the newest leaves, so that members come back, while the server of the list loses nothing. The node that removes
 * such members finds the room on the list.
 */

/** Each room that stays on the list costs the sweep of this node one look. */
const MOST_ROOMS = 10_000;

export class EmptiedRooms {
  readonly #keptMs: number;
  readonly #mayBeIn: (room: string) => boolean;
  /** When each room was left, in that order. */
  readonly #sinceMs = new Map<string, number>();

  /** `mayBeIn`: whether this node has entries in a room, or may get some. */
  constructor(keptMs: number, mayBeIn: (room: string) => boolean) {
    this.#keptMs = keptMs;
    this.#mayBeIn = mayBeIn;
  }

  /** Ignores a room that this node may be in: such rooms may come from a swept list, and may be many. */
  add(room: string, nowMs: number): void {
    if (this.#mayBeIn(room)) return;
    this.#sinceMs.delete(room);
    this.#sinceMs.set(room, nowMs);
  }

  /** Takes the rooms that were left long enough ago, and the oldest ones beyond the limit. Rooms that this node may be in again are left out. */
  takeDue(nowMs: number): string[] {
    const due: string[] = [];
    for (const [room, sinceMs] of this.#sinceMs) {
      if (nowMs - sinceMs < this.#keptMs && this.#sinceMs.size <= MOST_ROOMS) break;
      this.#sinceMs.delete(room);
      if (!this.#mayBeIn(room)) due.push(room);
    }
    return due;
  }
}
