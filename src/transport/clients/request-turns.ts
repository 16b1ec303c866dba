import type { CommandTurns, TurnTaker } from '../../connection/command-turns.ts';

/** A unit for so many values of a body: parsing, checking and packing one takes about 0.15 us. */
const VALUE_SHIFT = 6;
/** A unit for so many bytes of it, to count its values. */
const BYTE_SHIFT = 13;

/** What a body of so many bytes takes before it is parsed. */
export function readingUnits(bytes: number): number {
  return 1 + (bytes >> BYTE_SHIFT);
}

/** What parsing a body of so many values takes. */
export function parsingUnits(values: number): number {
  return values >> VALUE_SHIFT;
}

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

  /** Whether work of so many units may be done at once; then they are taken. If not, it has to `wait`. */
  take(units: number): boolean {
    if (this.#waiting.length > 0 || this.#turns.left <= 0) return false;
    this.#turns.left -= units;
    return true;
  }

  /** Resolves when work of so many units may be done. */
  wait(units: number): Promise<void> {
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
