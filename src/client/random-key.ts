const KEY_LENGTH = 20;
const DIGITS = 36;

/** A random key of letters and digits, about 103 bits. `crypto.randomUUID` is missing in pages without TLS. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_LENGTH));
  return Array.from(bytes, (byte) => (byte % DIGITS).toString(DIGITS)).join('');
}
