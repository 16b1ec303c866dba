const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** A random id of lower-case letters and digits: about 5.2 bits a character, from the platform's secure source. */
export function randomId(length = 8): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length * 2));
  let id = '';
  // Bytes of 252 and above would favour the first letters; the spare half covers those that are passed over.
  for (let i = 0; i < bytes.length && id.length < length; i++) {
    const byte = bytes[i]!;
    if (byte < 252) id += ALPHABET[byte % 36];
  }
  return id.length === length ? id : randomId(length);
}
