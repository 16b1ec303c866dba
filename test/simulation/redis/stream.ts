/** A stream of entries with one field each, as rooms keep their envelopes. */
import { Refusal } from './reply.ts';

/** The second part has up to 18 digits, more than a double holds. */
export interface StreamId {
  readonly first: number;
  readonly second: string;
}

export interface StreamEntry {
  readonly id: StreamId;
  readonly fields: readonly string[];
  /** Which of Redis's blocks of entries it is in: a trim with `~` drops whole ones. */
  readonly block: number;
}

const MOST_DIGITS = '18446744073709551615';
const BLOCK_ENTRIES = 100;
const BLOCK_BYTES = 4096;
/** What an entry costs beside its value, about. */
const ENTRY_BYTES = 20;

export class Stream {
  entries: StreamEntry[] = [];
  #last: StreamId = { first: 0, second: '0' };
  #block = 0;
  #blockEntries = 0;
  #blockBytes = 0;

  copy(): Stream {
    const copy = new Stream();
    copy.entries = [...this.entries];
    copy.#last = this.#last;
    copy.#block = this.#block;
    copy.#blockEntries = this.#blockEntries;
    copy.#blockBytes = this.#blockBytes;
    return copy;
  }

  add(id: StreamId, fields: readonly string[]): void {
    if (compareIds(id, this.#last) <= 0) {
      throw new Refusal('ERR The ID specified in XADD is equal or smaller than the target stream top item');
    }
    const bytes = fields.reduce((sum, field) => sum + field.length, ENTRY_BYTES);
    const isFull = this.#blockEntries >= BLOCK_ENTRIES || this.#blockBytes + bytes > BLOCK_BYTES;
    if (isFull && this.#blockEntries > 0) {
      this.#block++;
      this.#blockEntries = 0;
      this.#blockBytes = 0;
    }
    this.#blockEntries++;
    this.#blockBytes += bytes;
    this.#last = id;
    this.entries.push({ id, fields, block: this.#block });
  }

  /** Drops whole blocks of which no entry is to stay. */
  trim(goes: (entry: StreamEntry, at: number) => boolean): void {
    let kept = 0;
    for (let at = 0; at < this.entries.length; ) {
      const { block } = this.entries[at]!;
      let end = at;
      while (end < this.entries.length && this.entries[end]!.block === block) end++;
      if (!goes(this.entries[end - 1]!, end - 1)) break;
      kept = end;
      at = end;
    }
    if (kept > 0) this.entries = this.entries.slice(kept);
  }

  /** Entries from `least` to `most`, the newest first where it goes back. */
  range(least: StreamId, most: StreamId, count: number, back: boolean): StreamEntry[] {
    const { entries } = this;
    const found: StreamEntry[] = [];
    const first = lowerBound(entries, least);
    if (!back) {
      for (let i = first; i < entries.length && found.length < count; i++) {
        if (compareIds(entries[i]!.id, most) > 0) break;
        found.push(entries[i]!);
      }
      return found;
    }
    for (let i = entries.length - 1; i >= first && found.length < count; i--) {
      if (compareIds(entries[i]!.id, most) <= 0) found.push(entries[i]!);
    }
    return found;
  }

  get bytes(): number {
    return this.entries.reduce((sum, { fields }) => sum + ENTRY_BYTES + (fields[1]?.length ?? 0), 500);
  }
}

function lowerBound(entries: readonly StreamEntry[], id: StreamId): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareIds(entries[middle]!.id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function compareIds(a: StreamId, b: StreamId): number {
  return (
    a.first - b.first ||
    a.second.length - b.second.length ||
    (a.second < b.second ? -1 : a.second > b.second ? 1 : 0)
  );
}

/** `-`, `+`, `5`, `5-1` and, for the end of a range, `(5-1`. */
export function parseId(text: string, end: 'least' | 'most'): StreamId {
  if (text === '-') return { first: 0, second: '0' };
  if (text === '+') return { first: Number.POSITIVE_INFINITY, second: MOST_DIGITS };
  if (text.startsWith('(')) {
    const { first, second } = parseId(text.slice(1), end);
    const step = end === 'most' ? -1n : 1n;
    return { first, second: String(BigInt(second) + step) };
  }
  const [first = '', second] = text.split('-');
  return { first: Number(first), second: second ?? (end === 'least' ? '0' : MOST_DIGITS) };
}

export function idText({ first, second }: StreamId): string {
  return `${first}-${second}`;
}
