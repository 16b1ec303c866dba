/** Reads the golden vectors. `vectors/README.md` says what is in them. */
import { readFileSync } from 'node:fs';

export interface Vector {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly json: string;
  readonly value: unknown;
  readonly alternatives: readonly Uint8Array[];
}

export interface Malformed {
  readonly name: string;
  /** What arrives: bytes for the MessagePack codec, a string for the JSON one. */
  readonly message: Uint8Array | string;
  readonly outcome: readonly (string | { readonly rejected: string; readonly id: number })[];
}

interface Entry {
  readonly name: string;
  readonly msgpack: string;
  readonly json: string;
  readonly value: unknown;
  readonly alternatives?: readonly string[];
  readonly direction?: string;
}

export const commands = load('commands').map(vector);
export const serverFrames = load('server-frames').map(vector);
export const values = load('values').map(vector);
export const commandBatches = load('batches')
  .filter((entry) => entry.direction === 'commands')
  .map(vector);
export const serverBatches = load('batches')
  .filter((entry) => entry.direction === 'server-frames')
  .map(vector);

export const events = load('events') as unknown as readonly {
  readonly name: string;
  readonly epoch: string;
  readonly value: unknown;
  readonly event: string;
}[];

export const malformed: Malformed[] = load('malformed').map((entry) => {
  const { name, msgpack, json, outcome } = entry as unknown as {
    name: string;
    msgpack?: string;
    json: string;
    outcome: Malformed['outcome'];
  };
  return { name, message: msgpack === undefined ? json : fromHex(msgpack), outcome };
});

function load(file: string): Entry[] {
  return JSON.parse(readFileSync(new URL(`vectors/${file}.json`, import.meta.url), 'utf8')) as Entry[];
}

function vector({ name, msgpack, json, value, alternatives = [] }: Entry): Vector {
  return {
    name,
    bytes: fromHex(msgpack),
    json,
    value: revive(value),
    alternatives: alternatives.map(fromHex),
  };
}

export function fromHex(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new Error(`not hexadecimal: ${hex}`);
  return new Uint8Array(hex.length / 2).map((_, at) => Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== 'object' || value === null) return value;
  const map = value as Readonly<Record<string, unknown>>;
  if (typeof map.$bytes === 'string') return fromHex(map.$bytes);
  if (typeof map.$time === 'string') return new Date(map.$time);
  if (typeof map.$float === 'string') return Number(map.$float);
  return Object.fromEntries(Object.entries(map).map(([name, inner]) => [name, revive(inner)]));
}
