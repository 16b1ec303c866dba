/**
 * Converts JavaScript values to MessagePack. What JSON cannot express is treated as `JSON.stringify` would, so that a payload is
 * the same in either encoding; only bytes and dates keep their own types. Reading is in `values.ts`: a client that has a reader of
 * its own imports only this file, and does not download msgpackr.
 */
import type { PackedValue } from '../frames.ts';
import { MAX_DEPTH } from '../limits.ts';
import { PackError, Writer } from './writer.ts';

/** Maximum nesting of a payload: its frame takes one level. */
export const DATA_LEVELS = MAX_DEPTH - 1;

// `toJSON` of a value being packed may itself pack something: that call finds no idle writer and makes
// its own.
let idle: Writer | null = new Writer();

/** Runs `write` with an empty writer and returns what it wrote. */
export function packed(write: (writer: Writer) => void): Uint8Array {
  const writer = idle ?? new Writer();
  idle = null;
  try {
    write(writer);
    return writer.finish();
  } finally {
    writer.reset();
    idle = writer;
  }
}

/**
 * Any value as MessagePack, ready to be a payload. `undefined` and functions become nil (and are left out of
 * objects), Map and Set become maps and arrays, byte arrays become bin, Date a timestamp, an invalid Date
 * nil, and `toJSON` is called.
 *
 * @throws {PackError} for values nested deeper than `MAX_DEPTH` allows, circular ones, and BigInts beyond 53 bits.
 */
export function packValue(value: unknown): PackedValue {
  return packed((writer) => writeValue(writer, value, DATA_LEVELS));
}

/** Writes a value that nests at most `levels` arrays and maps. See `packValue`. */
export function writeValue(writer: Writer, value: unknown, levels: number): void {
  if (typeof value === 'string') writer.string(value);
  else if (typeof value === 'number') writer.number(value);
  else if (typeof value === 'boolean') writer.boolean(value);
  else if (typeof value === 'bigint') writeBigInt(writer, value);
  else if (typeof value === 'object' && value !== null) writeObject(writer, value, levels);
  else writer.nil();
}

function writeBigInt(writer: Writer, value: bigint): void {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new PackError('an integer does not fit 53 bits');
  writer.number(number);
}

function writeObject(writer: Writer, value: object, levels: number): void {
  if (value instanceof Date) writeDate(writer, value);
  else if (value instanceof ArrayBuffer) writer.binary(new Uint8Array(value));
  else if (ArrayBuffer.isView(value)) {
    writer.binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  } else if (levels === 0) {
    throw new PackError(`a value is circular or nested more than ${MAX_DEPTH} levels deep`);
  } else writeContainer(writer, value, levels - 1);
}

function writeContainer(writer: Writer, value: object, levels: number): void {
  if (Array.isArray(value)) writeArray(writer, value, levels);
  else if (value instanceof Set) writeArray(writer, [...value], levels);
  else if (value instanceof Map) writeEntries(writer, [...value], levels);
  else if ('toJSON' in value && typeof value.toJSON === 'function')
    writeValue(writer, value.toJSON(), levels);
  else writePlain(writer, value as Record<string, unknown>, levels);
}

function writeDate(writer: Writer, date: Date): void {
  const epochMs = date.getTime();
  if (Number.isNaN(epochMs)) writer.nil();
  else writer.timestamp(epochMs);
}

function writeArray(writer: Writer, values: readonly unknown[], levels: number): void {
  writer.arrayHeader(values.length);
  for (let i = 0; i < values.length; i++) writeValue(writer, values[i], levels);
}

function writePlain(writer: Writer, value: Readonly<Record<string, unknown>>, levels: number): void {
  const entries = Object.entries(value);
  const kept = entries.every(([, field]) => isKept(field))
    ? entries
    : entries.filter(([, field]) => isKept(field));
  writeEntries(writer, kept, levels);
}

function writeEntries(writer: Writer, entries: readonly [unknown, unknown][], levels: number): void {
  writer.mapHeader(entries.length);
  for (const [name, field] of entries) {
    writer.string(String(name));
    writeValue(writer, field, levels);
  }
}

function isKept(field: unknown): boolean {
  return field !== undefined && typeof field !== 'function' && typeof field !== 'symbol';
}
