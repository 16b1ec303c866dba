/**
 * Limits concurrent reads; further readers wait in line. A storm of returning clients must not become a storm
 * of reads: a reader that waited is asked again, since the reads of others may have served it too.
 */
export class ReadSlots<Reader> {
  readonly #limit: number;
  readonly #wake: (reader: Reader) => void;
  #taken = 0;
  #waiting: Reader[] = [];

  /** `wake` may take a slot again, or not. */
  constructor(limit: number, wake: (reader: Reader) => void) {
    this.#limit = limit;
    this.#wake = wake;
  }

  /** False if none is free: the reader is woken when one is. */
  take(reader: Reader): boolean {
    if (this.#taken < this.#limit) {
      this.#taken++;
      return true;
    }
    this.#waiting.push(reader);
    return false;
  }

  free(): void {
    this.#taken--;
    while (this.#taken < this.#limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#wake(next);
    }
  }
}
