/** Offsets of messages of one's own that are not for oneself, as far as the room's position has not passed them. */

/** They wait for messages of others that come before them. Beyond that the oldest are forgotten. */
const MAX_OFFSETS = 1_000;

export class OwnMessages {
  readonly #offsets = new Set<number>();

  add(offset: number): void {
    this.#offsets.add(offset);
    if (this.#offsets.size > MAX_OFFSETS) this.#offsets.delete(Math.min(...this.#offsets));
  }

  has(offset: number): boolean {
    return this.#offsets.has(offset);
  }

  /** The last of those that follow `position` one after the other, or `position`. What it passes is forgotten. */
  lastFrom(position: number): number {
    let last = position;
    while (this.#offsets.has(last + 1)) last++;
    for (const offset of this.#offsets) if (offset <= last) this.#offsets.delete(offset);
    return last;
  }

  clear(): void {
    this.#offsets.clear();
  }
}
