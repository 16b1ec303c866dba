const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/**
 * Random bytes are fetched by the kilobyte: each group commit needs an id, and a fetch costs more than the
 * id.
 */
const pool = new Uint8Array(1024);
let unused = 0;

function randomByte(): number {
  if (unused === 0) {
    crypto.getRandomValues(pool);
    unused = pool.length;
  }
  return pool[--unused]!;
}

/**
 * A random id of lower-case letters and digits: about 5.2 bits a character, from the platform's secure
 * source.
 */
export function randomId(length = 8): string {
  let id = '';
  while (id.length < length) {
    const byte = randomByte();
    // Bytes of 252 and above would favour the first letters.
    if (byte < 252) id += ALPHABET[byte % 36];
  }
  return id;
}
