/**
 * Bytes that may be kept without keeping more than themselves. What one read of the socket brought is up to 64 KiB: one small
 * envelope in a room's history would hold all of it. So what is less than half of its memory is copied. Not into Node's
 * pool: there, 8 KiB would live as long as the longest-kept envelope among them.
 */
export function detach(bytes: Buffer): Buffer {
  return isMostOf(bytes) ? bytes : copyOf(bytes);
}

/**
 * Detaches what belongs to one room. A room's envelopes are kept and forgotten in order, so they may share memory that is
 * freed with the newest of them; memory of its own costs each more than its copy does. A room's first envelopes get little,
 * since most rooms are quiet: each next piece is twice as large, and none larger than a page.
 */
export class RoomMemory {
  #piece: Buffer = NOTHING;
  #used = 0;

  detach(bytes: Buffer): Buffer {
    if (isMostOf(bytes)) return bytes;
    const { length } = bytes;
    if (length > MAX_SHARED) return copyOf(bytes);
    if (this.#used + length > this.#piece.length) {
      this.#piece = Buffer.allocUnsafeSlow(Math.min(MAX_PIECE, Math.max(length, 2 * this.#piece.length)));
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    this.#piece.set(bytes, start);
    return this.#piece.subarray(start, this.#used);
  }
}

const NOTHING = Buffer.alloc(0);
const MAX_PIECE = 4096;
const MAX_SHARED = MAX_PIECE / 4;

function isMostOf(bytes: Buffer): boolean {
  return bytes.length * 2 >= bytes.buffer.byteLength;
}

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
