/** Values to and from MessagePack, for nodes. `pack.ts` has the half that writes. */
import { Unpackr } from 'msgpackr/unpack';
import { FrameError } from '../frame-error.ts';
import type { PackedValue } from '../frames.ts';
import { DATA_LEVELS } from './pack.ts';
import { scanProblem, scanValue } from './scanner.ts';

export { DATA_LEVELS, packed, packValue, writeValue } from './pack.ts';

// `msgpackr/unpack`, not `msgpackr`, which loads a native add-on and Node's streams.
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/**
 * One MessagePack value as JavaScript. Maps become plain objects (a key `__proto__` becomes `__proto_`), bin
 * a Uint8Array that may be a view of `bytes`, timestamps Date.
 *
 * @throws {FrameError} for bytes that are not exactly one value that the protocol allows.
 */
export function unpackValue(bytes: PackedValue): unknown {
  const values = unpackAll(bytes, DATA_LEVELS);
  if (values.length !== 1) throw new FrameError(`expected one value, got ${values.length}`);
  return values[0];
}

/** Consecutive values, at most `levels` deep. Checked first: the reader below trusts its input. */
export function unpackAll(bytes: Uint8Array, levels: number): unknown[] {
  for (let at = 0; at < bytes.length; ) {
    const end = scanValue(bytes, at, bytes.length, levels);
    if (end < 0) throw new FrameError(scanProblem(end));
    at = end;
  }
  if (bytes.length === 0) return [];
  // A plain Uint8Array, so that bin inside is returned as one too, and not as a Buffer in Node.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return unpackr.unpackMultiple(plain) as unknown[];
}
