/** What a Redis holds: keys with their values and the time at which they end. */
import { Refusal } from './reply.ts';
import { Stream } from './stream.ts';

/** A field keeps its place while it changes: scans go by it. */
export class Hash {
  readonly fields = new Map<string, { value: string; readonly place: number }>();
  #places = 0;

  set(field: string, value: string): boolean {
    const known = this.fields.get(field);
    if (known !== undefined) known.value = value;
    else this.fields.set(field, { value, place: ++this.#places });
    return known === undefined;
  }

  copy(): Hash {
    const copy = new Hash();
    copy.#places = this.#places;
    for (const [field, { value, place }] of this.fields) copy.fields.set(field, { value, place });
    return copy;
  }
}

/** Members by score. In order on demand. */
export class SortedSet {
  readonly scores = new Map<string, number>();
  #sorted: [member: string, score: number][] | null = null;

  set(member: string, score: number): void {
    this.scores.set(member, score);
    this.#sorted = null;
  }

  delete(member: string): boolean {
    this.#sorted = null;
    return this.scores.delete(member);
  }

  get sorted(): readonly [member: string, score: number][] {
    this.#sorted ??= [...this.scores].sort(([a, one], [b, other]) => one - other || (a < b ? -1 : 1));
    return this.#sorted;
  }

  copy(): SortedSet {
    const copy = new SortedSet();
    for (const [member, score] of this.scores) copy.scores.set(member, score);
    return copy;
  }
}

export type Stored = string | Hash | SortedSet | Stream;

interface Entry {
  value: Stored;
  /** On Redis's own clock, in ms since the Unix epoch. */
  endsAtMs: number | null;
}

const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

export class Keyspace {
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  names(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** The key if it has not ended. */
  entry(key: string, nowMs: number): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.endsAtMs === null || entry.endsAtMs > nowMs) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: Stored, endsAtMs: number | null): void {
    this.#entries.set(key, { value, endsAtMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Drops what has ended. */
  expire(nowMs: number): void {
    for (const key of [...this.#entries.keys()]) this.entry(key, nowMs);
  }

  text(key: string, nowMs: number): string | undefined {
    const value = this.entry(key, nowMs)?.value;
    if (value === undefined || typeof value === 'string') return value;
    throw new Refusal(WRONG_TYPE);
  }

  /** With `make`, one that is not there is made. */
  hash(key: string, nowMs: number, make: true): Hash;
  hash(key: string, nowMs: number, make?: false): Hash | undefined;
  hash(key: string, nowMs: number, make = false): Hash | undefined {
    return this.#of(key, nowMs, Hash, make);
  }

  sorted(key: string, nowMs: number, make: true): SortedSet;
  sorted(key: string, nowMs: number, make?: false): SortedSet | undefined;
  sorted(key: string, nowMs: number, make = false): SortedSet | undefined {
    return this.#of(key, nowMs, SortedSet, make);
  }

  stream(key: string, nowMs: number, make: true): Stream;
  stream(key: string, nowMs: number, make?: false): Stream | undefined;
  stream(key: string, nowMs: number, make = false): Stream | undefined {
    return this.#of(key, nowMs, Stream, make);
  }

  #of<T extends Hash | SortedSet | Stream>(
    key: string,
    nowMs: number,
    Kind: new () => T,
    make: boolean,
  ): T | undefined {
    const value = this.entry(key, nowMs)?.value;
    if (value instanceof Kind) return value;
    if (value !== undefined) throw new Refusal(WRONG_TYPE);
    if (!make) return undefined;
    const made = new Kind();
    this.set(key, made, null);
    return made;
  }

  /** What a replica has at this moment. */
  copy(): Keyspace {
    const copy = new Keyspace();
    for (const [key, { value, endsAtMs }] of this.#entries) {
      copy.set(key, typeof value === 'string' ? value : value.copy(), endsAtMs);
    }
    return copy;
  }
}
