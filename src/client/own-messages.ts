/**
 * Positions of messages of one's own that are not for oneself, as far as the room's position has not passed them. Some are known before
 * the room is joined, or before its reader hears of the numbering that they have.
 */

/** They wait for messages of others that come before them. Beyond that the oldest are forgotten. */
const MAX_OFFSETS = 1_000;
const MAX_EPOCHS = 4;

export class OwnMessages {
  readonly #epochs = new Map<string, Set<number>>();

  add(epoch: string, offset: number): void {
    const offsets = this.#epochs.get(epoch) ?? new Set();
    this.#epochs.set(epoch, offsets);
    offsets.add(offset);
    if (offsets.size > MAX_OFFSETS) offsets.delete(Math.min(...offsets));
    if (this.#epochs.size > MAX_EPOCHS) for (const oldest of this.#epochs.keys()) return this.forget(oldest);
  }

  has(epoch: string, offset: number): boolean {
    return this.#epochs.get(epoch)?.has(offset) === true;
  }

  /** The last of those that follow `position` one after the other, or `position`. What it passes is forgotten. */
  lastFrom(epoch: string, position: number): number {
    const offsets = this.#epochs.get(epoch);
    if (offsets === undefined) return position;
    let last = position;
    while (offsets.has(last + 1)) last++;
    for (const offset of offsets) if (offset <= last) offsets.delete(offset);
    if (offsets.size === 0) this.forget(epoch);
    return last;
  }

  /** This numbering is over. */
  forget(epoch: string): void {
    this.#epochs.delete(epoch);
  }
}
