/**
 * Reads MessagePack, as much of it as this protocol has: a tenth of the size of a general decoder, for pages that download it.
 * Maps become plain objects, bin a view of the message, timestamps dates.
 */

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const TIMESTAMP = -1;
const SHORT_BYTES = 32;
/** A 64-bit timestamp holds nanoseconds in its upper 30 bits, seconds in the lower 34. */
const SECONDS_BITS = 34n;
const NS_PER_MS = 1e6;

/** All values of one message. Throws for bytes that are cut short or no MessagePack. */
export function unpackAll(message: ArrayBuffer | Uint8Array): unknown[] {
  const reader = new Reader(message instanceof Uint8Array ? message : new Uint8Array(message));
  const values: unknown[] = [];
  while (!reader.isAtEnd) values.push(reader.value());
  return values;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  value(): unknown {
    const byte = this.#uint(1);
    if (byte < 0x80) return byte;
    if (byte < 0x90) return this.#map(byte & 0x0f);
    if (byte < 0xa0) return this.#array(byte & 0x0f);
    if (byte < 0xc0) return this.#text(byte & 0x1f);
    if (byte >= 0xe0) return byte - 0x100;
    return this.#tagged(byte);
  }

  #tagged(byte: number): unknown {
    if (byte === 0xc0) return null;
    if (byte === 0xc2 || byte === 0xc3) return byte === 0xc3;
    if (byte >= 0xc4 && byte <= 0xc6) return this.#take(this.#uint(1 << (byte - 0xc4)));
    if (byte >= 0xc7 && byte <= 0xc9) return this.#extension(this.#uint(1 << (byte - 0xc7)));
    if (byte === 0xca) return this.#view.getFloat32(this.#skip(4));
    if (byte === 0xcb) return this.#view.getFloat64(this.#skip(8));
    if (byte >= 0xcc && byte <= 0xcf) return this.#uint(1 << (byte - 0xcc));
    if (byte >= 0xd0 && byte <= 0xd3) return this.#int(1 << (byte - 0xd0));
    if (byte >= 0xd4 && byte <= 0xd8) return this.#extension(1 << (byte - 0xd4));
    if (byte >= 0xd9 && byte <= 0xdb) return this.#text(this.#uint(1 << (byte - 0xd9)));
    if (byte === 0xdc || byte === 0xdd) return this.#array(this.#uint(byte === 0xdc ? 2 : 4));
    if (byte === 0xde || byte === 0xdf) return this.#map(this.#uint(byte === 0xde ? 2 : 4));
    throw new Error('not MessagePack');
  }

  /** Moves on and returns where the bytes begin. Throws where there are not so many. */
  #skip(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new Error('cut short');
    return at;
  }

  #take(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.#bytes.subarray(at, at + length);
  }

  #uint(length: number): number {
    const at = this.#skip(length);
    let value = 0;
    for (let i = at; i < at + length; i++) value = value * 0x100 + this.#bytes[i]!;
    return value;
  }

  /** Without a decoder where it is short and ASCII: calling one costs more than all the rest of a frame. */
  #text(length: number): string {
    const at = this.#skip(length);
    const bytes = this.#bytes;
    if (length > SHORT_BYTES) return utf8.decode(bytes.subarray(at, at + length));
    let text = '';
    for (let i = at; i < at + length; i++) {
      if (bytes[i]! >= 0x80) return utf8.decode(bytes.subarray(at, at + length));
      text += String.fromCharCode(bytes[i]!);
    }
    return text;
  }

  #int(length: number): number {
    const at = this.#skip(length);
    if (length === 1) return this.#view.getInt8(at);
    if (length === 2) return this.#view.getInt16(at);
    return length === 4 ? this.#view.getInt32(at) : Number(this.#view.getBigInt64(at));
  }

  #array(count: number): unknown[] {
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) values.push(this.value());
    return values;
  }

  #map(count: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const key = String(this.value());
      // As a plain assignment it would set the prototype.
      map[key === '__proto__' ? '__proto_' : key] = this.value();
    }
    return map;
  }

  #extension(length: number): Date {
    const type = this.#int(1);
    const at = this.#skip(length);
    if (type !== TIMESTAMP) throw new Error(`an extension of type ${type}`);
    const view = this.#view;
    if (length === 4) return new Date(view.getUint32(at) * 1000);
    if (length === 12) return dateOf(view.getBigInt64(at + 4), view.getUint32(at));
    const both = view.getBigUint64(at);
    return dateOf(both & ((1n << SECONDS_BITS) - 1n), Number(both >> SECONDS_BITS));
  }
}

function dateOf(seconds: bigint, nanoseconds: number): Date {
  return new Date(Number(seconds) * 1000 + nanoseconds / NS_PER_MS);
}
