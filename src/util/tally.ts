/** How many are there under one name. */
export interface Place {
  readonly name: string;
  count: number;
}

/** Counts what is open under each of many names: the connections of an address. A name without any costs nothing. */
export class Tally {
  readonly #places = new Map<string, Place>();

  /** Names with something open. */
  get size(): number {
    return this.#places.size;
  }

  of(name: string): number {
    return this.#places.get(name)?.count ?? 0;
  }

  /** One more. Whoever holds it gives the place back to `leave`, once. All under one name share one object. */
  enter(name: string): Place {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = { name, count: 0 };
      this.#places.set(name, place);
    }
    place.count++;
    return place;
  }

  leave(place: Place): void {
    if (--place.count === 0) this.#places.delete(place.name);
  }
}
