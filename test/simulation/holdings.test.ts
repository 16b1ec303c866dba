/** The checker of memory sees what it should. */
import { expect, test } from 'vitest';
import { holdingsOf } from './world/holdings.ts';

class Shelf {
  readonly #boxes = new Map<string, { readonly things: readonly number[] }>();
  readonly #label = Buffer.alloc(7);
  other: Shelf | null = null;

  put(name: string, ...things: number[]): this {
    this.#boxes.set(name, { things });
    return this;
  }

  get label(): Buffer {
    return this.#label;
  }
}

class Wall {
  readonly shelf = new Shelf();
}

test('what an object holds is counted in private fields too, once, and up to the border', () => {
  const shelf = new Shelf().put('a', 1, 2).put('b', 3);
  shelf.other = new Shelf().put('c', 4);
  shelf.other.other = shelf;
  expect(Object.fromEntries(holdingsOf(shelf, () => false))).toEqual({
    'Shelf itself': 2,
    'Shelf.#boxes': 3,
    'Shelf.#boxes.things': 4,
    'Shelf.#label bytes': 14,
  });
  expect(Object.fromEntries(holdingsOf({ wall: new Wall(), list: [1] }, (name) => name === 'Wall'))).toEqual({
    'Object.list': 1,
  });
});
