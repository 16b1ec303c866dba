import type { UnfinishedBodies } from './unfinished-bodies.ts';

/** What a chunk costs at least, as bytes: a client may send a body in chunks of a byte, and each is a call of its own. */
const CHUNK_BYTES = 256;
/** So many may be smaller: some clients write line by line. */
const SMALL_CHUNKS = 1024;
/** A body that is too large is read on, so that its client reads the answer: as much again as the limit, and this. */
const READ_ON_BYTES = 64 * 1024;

/** The body of one request while it arrives. What is not kept is read for a while, and dropped. */
export class ArrivingBody {
  readonly #limit: number;
  readonly #bodies: UnfinishedBodies | null;
  /** How long it is to be; null: it does not say. */
  readonly #length: number | null;
  /**
   * Each as large as all before it: one for each chunk would take many times what arrived, and one that grows would be copied
   * each time, and leave half of itself as garbage.
   */
  #pieces: Buffer[] = [];
  /** Bytes that arrived. */
  #size = 0;
  #chunks = 0;
  /** What small chunks cost beyond their bytes. */
  #extra = 0;
  /** Bytes of all pieces, and those for which room was taken: not for what comes with the last chunk. */
  #capacity = 0;
  #charged = 0;
  #isDropped: boolean;

  /**
   * `bodies` null: of someone who is known. `length`: what it says of itself; null: nothing. Of one that says that it is too
   * large nothing is kept.
   */
  constructor(limit: number, bodies: UnfinishedBodies | null, length: number | null = null) {
    this.#limit = limit;
    this.#bodies = bodies;
    this.#length = length;
    this.#isDropped = this.#isTooLarge;
  }

  /** So much more came than is allowed, or in such small chunks, that its client is not worth an answer. */
  get isFlood(): boolean {
    return this.#size > 2 * this.#limit + READ_ON_BYTES || this.#extra > this.#limit;
  }

  get #isTooLarge(): boolean {
    return Math.max(this.#size, this.#length ?? 0) > this.#limit;
  }

  /** Nothing of it is kept. */
  get isDropped(): boolean {
    return this.#isDropped;
  }

  /**
   * Copies the chunk. Returns false if it may not be kept, or there is no room for it; the last one needs none, since the body
   * is whole then.
   */
  add(chunk: ArrayBuffer, isLast: boolean, mayKeep = true): boolean {
    const before = this.#size;
    this.#size += chunk.byteLength;
    if (++this.#chunks > SMALL_CHUNKS) this.#extra += Math.max(0, CHUNK_BYTES - chunk.byteLength);
    if (this.#isDropped) return true;
    if (this.#isTooLarge || !mayKeep || !this.#hasRoom(isLast)) {
      const isTooLarge = this.#isTooLarge;
      this.drop();
      return isTooLarge;
    }
    this.#copy(new Uint8Array(chunk), before);
    return true;
  }

  #copy(chunk: Uint8Array, before: number): void {
    const free = this.#capacity - before;
    const first = chunk.subarray(0, free);
    const last = this.#pieces.at(-1);
    last?.set(first, last.length - free);
    if (this.#size <= this.#capacity) return;
    const capacity = Math.max(this.#size, this.#charged);
    const piece = Buffer.allocUnsafe(capacity - this.#capacity);
    piece.set(chunk.subarray(free));
    this.#pieces.push(piece);
    this.#capacity = capacity;
  }

  /** Takes room for one more piece if it needs one. */
  #hasRoom(isLast: boolean): boolean {
    if (isLast || this.#size <= this.#capacity) return true;
    const most = this.#length ?? this.#limit;
    const capacity = Math.max(this.#size, Math.min(most, 2 * this.#capacity));
    if (this.#bodies?.grow(this.#charged, capacity) === false) return false;
    this.#charged = capacity;
    return true;
  }

  /** The last chunk was added. */
  whole(): Buffer | 'too large' {
    if (this.#isTooLarge) return 'too large';
    const [only, ...others] = this.#pieces;
    const isOne = only !== undefined && others.length === 0;
    const bytes = isOne ? only.subarray(0, this.#size) : Buffer.concat(this.#pieces, this.#size);
    this.drop();
    return bytes;
  }

  /** Nobody waits for it any more. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.#bodies?.end(this.#charged);
    this.#pieces = [];
  }
}
