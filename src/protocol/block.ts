// Frames are short-lived, and for a small one an array with its own memory costs more than everything else:
// so they are cut from a block, which is freed with the last of them. Copy what you keep for long. Large
// frames get their own array.
const BLOCK_BYTES = 64 * 1024;
const LARGE_BYTES = 4 * 1024;
let block = new Uint8Array(BLOCK_BYTES);
let used = 0;

/** Bytes for a frame that leaves soon; their content is undefined. */
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
