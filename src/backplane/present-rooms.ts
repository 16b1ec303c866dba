import type { PresentRoom, RoomsPage } from './presence.ts';

/**
 * The first rooms by name (in the order of UTF-16 units) of all that are added, up to a limit. However many
 * are added, it holds no more than that and what one call of `add` brought.
 */
export class PresentRooms {
  readonly #limit: number;
  #counts = new Map<string, number>();
  /** The last name that still counts, once there are more rooms than requested. */
  #last: string | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a room with this name could still be among them. Others need not be counted. */
  wants(room: string): boolean {
    return !this.#counts.has(room) && (this.#last === null || room < this.#last);
  }

  /** Rooms without entries are skipped. */
  add(rooms: readonly PresentRoom[]): void {
    for (const { room, count } of rooms) if (count > 0) this.#counts.set(room, count);
    // One more than requested is kept: it shows that there are more.
    if (this.#counts.size <= this.#limit) return;
    const kept = this.#sorted().slice(0, this.#limit + 1);
    this.#counts = new Map(kept);
    this.#last = kept.at(-1)![0];
  }

  page(): RoomsPage {
    const rooms = this.#sorted().map(([room, count]) => ({ room, count }));
    return { rooms: rooms.slice(0, this.#limit), truncated: rooms.length > this.#limit };
  }

  #sorted(): [room: string, count: number][] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
