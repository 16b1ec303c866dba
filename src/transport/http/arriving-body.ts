import type { UnfinishedBodies } from './unfinished-bodies.ts';

/** The body of one request while it arrives. What is not kept is read all the same, and dropped. */
export class ArrivingBody {
  readonly #limit: number;
  readonly #bodies: UnfinishedBodies | null;
  #chunks: Buffer[] = [];
  /** Bytes that arrived. */
  #size = 0;
  /** Bytes for which room was taken. */
  #kept = 0;
  #isDropped = false;

  /** `bodies` null: of someone who is known. */
  constructor(limit: number, bodies: UnfinishedBodies | null) {
    this.#limit = limit;
    this.#bodies = bodies;
  }

  /** Copies the chunk. Returns false if there is no room for it; the last one needs none, since the body is whole then. */
  add(chunk: ArrayBuffer, isLast: boolean): boolean {
    this.#size += chunk.byteLength;
    if (this.#isDropped) return true;
    const isTooLarge = this.#size > this.#limit;
    if (isTooLarge || !(isLast || this.#hasRoom())) {
      this.drop();
      return isTooLarge;
    }
    this.#chunks.push(Buffer.from(new Uint8Array(chunk)));
    return true;
  }

  #hasRoom(): boolean {
    if (this.#bodies?.grow(this.#kept, this.#size) === false) return false;
    this.#kept = this.#size;
    return true;
  }

  /** The last chunk was added. */
  whole(): Buffer | 'too large' {
    if (this.#size > this.#limit) return 'too large';
    const chunks = this.#chunks;
    this.drop();
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** Nobody waits for it any more. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#bodies?.end(this.#kept);
    this.#chunks = [];
  }
}
