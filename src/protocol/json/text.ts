/** JSON text of values that exist in MessagePack but not in JSON. PROTOCOL.md says what a client sees. */

/** `JSON.stringify` with bytes as base64, Map and Set as objects and arrays. Dates are ISO 8601, NaN is null. */
export function toJsonText(value: unknown): string {
  // `undefined` has no JSON text; as a payload it is null, as in MessagePack.
  return JSON.stringify(value, jsonForm) ?? 'null';
}

function jsonForm(this: unknown, name: string, value: unknown): unknown {
  // The object's own value: for `value`, a Buffer's `toJSON` has already been called.
  const raw = (this as Readonly<Record<string, unknown>>)[name];
  if (typeof raw === 'bigint') return Number(raw);
  if (typeof raw !== 'object' || raw === null) return value;
  if (raw instanceof ArrayBuffer) return toBase64(new Uint8Array(raw));
  if (ArrayBuffer.isView(raw)) return toBase64(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
  if (raw instanceof Map) return Object.fromEntries(raw);
  return raw instanceof Set ? [...raw] : value;
}

/** Base64 of RFC 4648, section 4, with padding. */
function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
