import type { Envelope } from '../../backplane/envelope.ts';

/** Fewer than this are not worth looking for those that are too old. */
const LEAST_SWEEP = 256;
/** Messages that stand for themselves, remembered one by one: more than anyone asks for with `last`. */
const MAX_PLAIN = 2048;

/**
 * Which messages of a room newer ones have replaced: the offset of the newest message for each conflation id. What
 * is left are those, and the messages without an id (plain).
 */
export class Replaced {
  readonly #newest = new Map<string, number>();
  #sweepAt = LEAST_SWEEP;
  /** Every message after this offset was seen; -1: none was. */
  #seenAfter = -1;
  /** Of messages up to this offset it is not known any more which are left. While there is no id, all are. */
  #plainUpTo = 0;
  /** Plain messages after that, in order. */
  #plain: number[] = [];
  /** Rises whenever an answer may have become another. */
  changes = 0;

  /** Nothing here replaces anything. */
  get isEmpty(): boolean {
    return this.#newest.size === 0;
  }

  /** Takes in the envelope that follows. */
  follow(envelope: Envelope): void {
    if (this.#seenAfter < 0) this.#seenAfter = envelope.first - 1;
    if (this.isEmpty && !envelope.conflates) {
      this.#plainUpTo = envelope.last;
      return;
    }
    this.note(envelope);
    this.#plain.push(...plainIn(envelope));
    const excess = this.#plain.length - MAX_PLAIN;
    if (excess > 0) this.#plainUpTo = this.#plain.splice(0, excess + MAX_PLAIN / 4).at(-1)!;
  }

  /** Takes in older envelopes, contiguous, that end where the envelopes begin that are kept. */
  precede(envelopes: readonly Envelope[]): void {
    const [oldest, newest] = [envelopes[0], envelopes.at(-1)];
    if (oldest === undefined || newest === undefined) return;
    this.changes++;
    if (this.#seenAfter < 0) this.#seenAfter = this.#plainUpTo = newest.last;
    for (const envelope of envelopes) this.note(envelope);
    const isNext = newest.last >= this.#seenAfter && oldest.first <= this.#seenAfter;
    if (this.isEmpty || !isNext) return;
    // What was seen before an id was is plain, and is listed by now.
    if (this.#plainUpTo <= this.#seenAfter) this.#plainUpTo = 0;
    const older = envelopes.flatMap(plainIn).filter((offset) => offset <= this.#seenAfter);
    this.#plain = [...older, ...this.#plain];
    this.#seenAfter = oldest.first - 1;
  }

  /** Takes in what an envelope conflates. Older envelopes may come after newer ones. */
  note(envelope: Envelope): void {
    if (!envelope.conflates) return;
    if (this.isEmpty) this.#listPlain();
    this.changes++;
    for (let i = 0; i < envelope.count; i++) {
      const id = envelope.conflation(i);
      const offset = envelope.first + i;
      if (id !== '' && offset > (this.#newest.get(id) ?? 0)) this.#newest.set(id, offset);
    }
  }

  /** From the first id on, plain messages are listed, the last of those before it too. */
  #listPlain(): void {
    if (this.#seenAfter < 0) return;
    const from = Math.max(this.#seenAfter, this.#plainUpTo - MAX_PLAIN / 2);
    for (let offset = from + 1; offset <= this.#plainUpTo; offset++) this.#plain.push(offset);
    this.#plainUpTo = Math.min(this.#plainUpTo, from);
  }

  /** Whether a newer message has taken the place of this one of an envelope. */
  has(envelope: Envelope, index: number): boolean {
    const id = envelope.conflation(index);
    return id !== '' && (this.#newest.get(id) ?? 0) > envelope.first + index;
  }

  /** Whether newer messages have surely taken the place of all those after an offset, up to another. */
  hasAll(after: number, upTo: number): boolean {
    if (this.isEmpty || this.#seenAfter < 0 || upTo <= after || after < this.#knownAfter) return false;
    return this.#left(after, upTo).length === 0;
  }

  /**
   * How many messages up to an offset are replaced, among those that one has to go back for `last` that are not.
   * Of messages that were not seen none counts as replaced.
   */
  among(last: number, upTo: number): number {
    if (this.isEmpty || this.#seenAfter < 0 || last === 0) return 0;
    const left = this.#left(this.#knownAfter, upTo);
    const lacking = last - left.length;
    const start = lacking > 0 ? this.#knownAfter - lacking : left.sort((a, b) => b - a)[last - 1]! - 1;
    return Math.max(0, upTo - Math.max(0, start) - last);
  }

  get #knownAfter(): number {
    return Math.max(this.#seenAfter, this.#plainUpTo);
  }

  /** Offsets of the messages after one offset, up to another, that nothing has replaced. */
  #left(after: number, upTo: number): number[] {
    const isWithin = (offset: number) => offset > after && offset <= upTo;
    return [...this.#plain.filter(isWithin), ...[...this.#newest.values()].filter(isWithin)];
  }

  /** Ids without a message from this offset on are forgotten, now and then. */
  forgetBefore(oldest: number): void {
    if (this.#newest.size < this.#sweepAt) return;
    for (const [id, offset] of this.#newest) {
      if (offset >= oldest) continue;
      this.#newest.delete(id);
      this.#plainUpTo = Math.max(this.#plainUpTo, offset);
    }
    this.#plain = this.#plain.filter((offset) => offset > this.#plainUpTo);
    this.changes++;
    this.#sweepAt = Math.max(LEAST_SWEEP, this.#newest.size * 2);
  }

  clear(): void {
    this.#newest.clear();
    this.#plain = [];
    this.#plainUpTo = 0;
    this.#seenAfter = -1;
    this.changes++;
  }
}

function plainIn(envelope: Envelope): number[] {
  const offsets: number[] = [];
  for (let i = 0; i < envelope.count; i++) {
    if (envelope.conflation(i) === '') offsets.push(envelope.first + i);
  }
  return offsets;
}
