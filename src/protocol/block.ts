// Frames are short-lived, and each array with memory of its own costs more than everything else about a small one: they are
// cut from a block, which goes when the last of them does. What is kept for long must be copied. Large ones stand alone.
const BLOCK_BYTES = 64 * 1024;
const LARGE_BYTES = 4 * 1024;
let block = new Uint8Array(BLOCK_BYTES);
let used = 0;

/** Bytes for a frame that leaves soon; what they hold is not defined. */
export function cutFromBlock(length: number): Uint8Array {
  if (length > LARGE_BYTES) return new Uint8Array(length);
  if (used + length > BLOCK_BYTES) {
    block = new Uint8Array(BLOCK_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(block.buffer, used, length);
  used += length;
  return bytes;
}
