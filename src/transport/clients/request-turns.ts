import type { CommandTurns, TurnTaker } from '../../connection/command-turns.ts';

/** A unit for so many values of a body: parsing, checking and packing one takes about 0.15 us. */
const UNIT_SHIFT = 6;

interface Waiting {
  readonly units: number;
  readonly begin: () => void;
}

/**
 * The turns of client requests, among those of commands: bodies that are whole at the same time are read one after the other,
 * with others served in between. All requests together wait as one connection.
 */
export class RequestTurns implements TurnTaker {
  readonly #turns: CommandTurns;
  #waiting: Waiting[] = [];

  constructor(turns: CommandTurns) {
    this.#turns = turns;
  }

  /** Resolves when a body of so many bytes and values may be read; null: at once. */
  wait(bytes: number, values: number): Promise<void> | null {
    const units = 1 + (bytes >> 13) + (values >> UNIT_SHIFT);
    if (this.#waiting.length === 0 && this.#turns.left > 0) {
      this.#turns.left -= units;
      return null;
    }
    return new Promise((begin) => {
      this.#waiting.push({ units, begin });
      this.#turns.wait(this);
    });
  }

  carryOn(units: number): boolean {
    let left = units;
    while (left > 0 && this.#turns.left > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return false;
      left -= next.units;
      this.#turns.left -= next.units;
      next.begin();
    }
    return this.#waiting.length > 0;
  }
}
