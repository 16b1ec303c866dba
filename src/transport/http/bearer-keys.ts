import { createHash, timingSafeEqual } from 'node:crypto';
import { bearerOf } from '../bearer.ts';

/** A key, as text or as the SHA-256 of it in hexadecimal digits, and whose it is. */
export type KnownKey<Owner> = ({ readonly key: string } | { readonly sha256: string }) & {
  readonly owner: Owner;
};

/** Keys presented as `Authorization: Bearer <key>`. */
export class BearerKeys<Owner> {
  readonly #name: string;
  #known: readonly { readonly digest: Buffer; readonly owner: Owner }[] = [];

  /** `name`: what errors call such a key. */
  constructor(keys: readonly KnownKey<Owner>[], name: string) {
    this.#name = name;
    this.replace(keys);
  }

  get count(): number {
    return this.#known.length;
  }

  /** From now on only these count. */
  replace(keys: readonly KnownKey<Owner>[]): void {
    this.#known = keys.map((known) => ({
      // A plain hash is enough for what is long and random: nobody can try all of those.
      digest: 'key' in known ? digest(known.key) : Buffer.from(known.sha256, 'hex'),
      owner: known.owner,
    }));
  }

  /** The owner of the key in an `Authorization` header, or a sentence on what is wrong with it. */
  find(authorization: string): { readonly owner: Owner } | { readonly problem: string } {
    const given = bearerOf(authorization);
    if (given === null) return { problem: `send the ${this.#name}: Authorization: Bearer <key>` };
    // Digests have equal length, and comparing all of them takes the same time whatever the guess.
    const presented = digest(given);
    let found: { readonly owner: Owner } | null = null;
    for (const known of this.#known) if (timingSafeEqual(known.digest, presented)) found = known;
    return found ?? { problem: `unknown ${this.#name}` };
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
