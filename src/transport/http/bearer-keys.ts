import { createHash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from '../bearer.ts';

/** Keys that are presented as `Authorization: Bearer <key>`. */
export class BearerKeys {
  readonly #digests: readonly Buffer[];
  readonly #name: string;

  /** `name`: what such a key is called in errors. */
  constructor(keys: readonly string[], name: string) {
    this.#digests = keys.map(digest);
    this.#name = name;
  }

  /** A sentence on what is wrong with an `Authorization` header; null for one that holds a key. */
  problem(authorization: string): string | null {
    const given = bearerOf(authorization);
    if (given === null) return `send the ${this.#name}: Authorization: Bearer <key>`;
    // Digests are of equal length, and comparing all of them takes the same time whatever was guessed.
    const presented = digest(given);
    let matches = false;
    for (const known of this.#digests) if (timingSafeEqual(known, presented)) matches = true;
    return matches ? null : `this ${this.#name} is not known`;
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
