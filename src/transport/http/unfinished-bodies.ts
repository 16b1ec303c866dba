/** This much of each body is free: most are whole by then, and sockets are limited. */
export const FREE_BYTES = 16 * 1024;

/**
 * What a node keeps of the bodies of client requests that are still arriving, or wait for their turn. Nobody is known yet by
 * then, and a client that never sends the last byte would have the rest of it kept for as long as it sends a little now and then.
 */
export class UnfinishedBodies {
  /** 0: no limit. */
  readonly maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A body grew from `before` to `size` bytes. Returns whether that may be kept; if not, nothing was taken. */
  grow(before: number, size: number): boolean {
    const more = charged(size) - charged(before);
    if (this.maxBytes > 0 && more > 0 && this.#bytes + more > this.maxBytes) return false;
    this.#bytes += more;
    return true;
  }

  /** A body of this size is whole, or is not kept any more. */
  end(size: number): void {
    this.#bytes -= charged(size);
  }
}

function charged(size: number): number {
  return Math.max(0, size - FREE_BYTES);
}
