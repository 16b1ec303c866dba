/**
 * Bytes that may be kept without keeping more than themselves. ioredis hands out slices of what one read of the socket
 * brought, up to 64 KiB: one small envelope in a room's history would hold all of it. So what is less than half of its
 * memory is copied. Not into Node's pool: there, 8 KiB would live as long as the longest-kept envelope among them.
 */
export function detach(bytes: Buffer): Buffer {
  if (bytes.length * 2 >= bytes.buffer.byteLength) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
