/** A connection that keeps one small message takes no more than this. */
const FIRST_PAGE = 512;
const LARGEST_PAGE = 64 * 1024;
/** What is longer gets memory of its own, so that a page wastes little. */
const LARGEST_SHARED = 8 * 1024;

/**
 * Copies of messages, many in one piece of memory: an `ArrayBuffer` for each would take longer to make, and to collect,
 * than the message to read. A page lives as long as any of its messages.
 */
export class BytePages {
  #page: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** A copy that nothing changes. */
  copy(bytes: Uint8Array): Uint8Array {
    if (bytes.length > LARGEST_SHARED) return new Uint8Array(bytes);
    if (this.#used + bytes.length > this.#page.length) this.#turnOver(bytes.length);
    const from = this.#used;
    this.#used += bytes.length;
    this.#page.set(bytes, from);
    return this.#page.subarray(from, this.#used);
  }

  #turnOver(atLeast: number): void {
    const size = Math.min(LARGEST_PAGE, Math.max(FIRST_PAGE, 2 * this.#page.length, atLeast));
    // Not cleared, and no `Buffer`, whose `slice` does not copy.
    this.#page = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
    this.#used = 0;
  }
}
