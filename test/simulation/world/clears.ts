/** What the application's server cleared: each clear begins an epoch. */
export class Clears {
  readonly #epochs = new Map<string, Set<string>>();
  /** Rooms of which nobody knows whether they were cleared: an answer is on its way, or never came. */
  readonly #unknown = new Map<string, number>();

  /** Call what it returns with the epoch that began. */
  begin(room: string): (epoch: string) => void {
    this.#unknown.set(room, (this.#unknown.get(room) ?? 0) + 1);
    return (epoch) => {
      this.#unknown.set(room, this.#unknown.get(room)! - 1);
      const epochs = this.#epochs.get(room) ?? new Set();
      this.#epochs.set(room, epochs.add(epoch));
    };
  }

  mayReset(room: string): boolean {
    return (this.#unknown.get(room) ?? 0) > 0;
  }

  began(room: string, epoch: string): boolean {
    return this.#epochs.get(room)?.has(epoch) ?? false;
  }
}
