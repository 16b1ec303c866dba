import type { UnfinishedBodies } from './unfinished-bodies.ts';

/** What a chunk costs at least, as bytes: a client may send a body in chunks of a byte, and each is a call of its own. */
const CHUNK_BYTES = 256;
/** So many may be smaller: some clients write line by line. */
const SMALL_CHUNKS = 1024;
/** A body that is too large is read on, so that its client reads the answer: as much again as the limit, and this. */
const READ_ON_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);

/** The body of one request while it arrives. What is not kept is read for a while, and dropped. */
export class ArrivingBody {
  readonly #limit: number;
  readonly #bodies: UnfinishedBodies | null;
  /** Grows by doubling: one buffer for each chunk would take many times what arrived. */
  #bytes = NO_BYTES;
  /** Bytes that arrived. */
  #size = 0;
  #chunks = 0;
  /** What small chunks cost beyond their bytes. */
  #extra = 0;
  /** Bytes for which room was taken. */
  #kept = 0;
  #isDropped = false;

  /** `bodies` null: of someone who is known. */
  constructor(limit: number, bodies: UnfinishedBodies | null) {
    this.#limit = limit;
    this.#bodies = bodies;
  }

  /** So much more came than is allowed, or in such small chunks, that its client is not worth an answer. */
  get isFlood(): boolean {
    return this.#size > 2 * this.#limit + READ_ON_BYTES || this.#extra > this.#limit;
  }

  get #isTooLarge(): boolean {
    return this.#size > this.#limit;
  }

  /** Copies the chunk. Returns false if there is no room for it; the last one needs none, since the body is whole then. */
  add(chunk: ArrayBuffer, isLast: boolean): boolean {
    const before = this.#size;
    this.#size += chunk.byteLength;
    if (++this.#chunks > SMALL_CHUNKS) this.#extra += Math.max(0, CHUNK_BYTES - chunk.byteLength);
    if (this.#isDropped) return true;
    if (this.#isTooLarge || !this.#hasRoom(isLast)) {
      const isTooLarge = this.#isTooLarge;
      this.drop();
      return isTooLarge;
    }
    this.#bytes.set(new Uint8Array(chunk), before);
    return true;
  }

  /** Makes the buffer as large as the body is. */
  #hasRoom(isLast: boolean): boolean {
    const has = this.#bytes.length;
    if (this.#size <= has) return true;
    const capacity = isLast ? this.#size : Math.min(this.#limit, Math.max(this.#size, 2 * has));
    if (!isLast) {
      if (this.#bodies?.grow(this.#kept, capacity) === false) return false;
      this.#kept = capacity;
    }
    const bytes = Buffer.allocUnsafe(capacity);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    return true;
  }

  /** The last chunk was added. */
  whole(): Buffer | 'too large' {
    if (this.#isTooLarge) return 'too large';
    const bytes = this.#bytes.subarray(0, this.#size);
    this.drop();
    return bytes;
  }

  /** Nobody waits for it any more. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#bodies?.end(this.#kept);
    this.#bytes = NO_BYTES;
  }
}
