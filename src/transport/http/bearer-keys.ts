import { createHash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from '../bearer.ts';

/** Keys presented as `Authorization: Bearer <key>`. */
export class BearerKeys {
  readonly #digests: readonly Buffer[];
  readonly #name: string;

  /** `name`: what errors call such a key. */
  constructor(keys: readonly string[], name: string) {
    this.#digests = keys.map(digest);
    this.#name = name;
  }

  /** A sentence on what is wrong with an `Authorization` header, or null if it holds a known key. */
  problem(authorization: string): string | null {
    const given = bearerOf(authorization);
    if (given === null) return `send the ${this.#name}: Authorization: Bearer <key>`;
    // Digests have equal length, and comparing all of them takes the same time whatever the guess.
    const presented = digest(given);
    let matches = false;
    for (const known of this.#digests) if (timingSafeEqual(known, presented)) matches = true;
    return matches ? null : `unknown ${this.#name}`;
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
