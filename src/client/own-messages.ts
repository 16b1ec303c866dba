/**
 * Positions of messages of one's own that are not for oneself, until the position of their room has passed them. Some are known before
 * the room is joined, or before its reader hears of the numbering that they have.
 */

/** Of all rooms. They wait for messages of others that come before them. Beyond that the oldest are forgotten. */
const MAX_POSITIONS = 1_000;

export class OwnMessages {
  readonly #positions = new Set<string>();

  add(room: string, epoch: string, offset: number): void {
    this.#positions.add(keyOf(room, epoch, offset));
    if (this.#positions.size > MAX_POSITIONS)
      for (const oldest of this.#positions) return void this.#positions.delete(oldest);
  }

  has(room: string, epoch: string, offset: number): boolean {
    return this.#positions.has(keyOf(room, epoch, offset));
  }

  /** The last of those that follow `position` one after the other, or `position`. What it passes is forgotten. */
  lastFrom(room: string, epoch: string, position: number): number {
    while (this.#positions.delete(keyOf(room, epoch, position + 1))) position++;
    return position;
  }
}

/** No epoch has a colon. */
function keyOf(room: string, epoch: string, offset: number): string {
  return `${epoch}:${offset}:${room}`;
}
