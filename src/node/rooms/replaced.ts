import type { Envelope } from '../../backplane/envelope.ts';

/** Fewer than this are not worth looking for those that are too old. */
const LEAST_SWEEP = 256;
/** Offsets of messages that stand for themselves, remembered one by one. */
const MAX_PLAIN = 1024;

/** Which messages of a room newer ones have replaced: the offset of the newest message for each conflation id. */
export class Replaced {
  readonly #newest = new Map<string, number>();
  #sweepAt = LEAST_SWEEP;
  /** Every message after this offset was seen; -1: none was. */
  #seenAfter = -1;
  /** Messages up to this offset may be there that nothing replaces. */
  #plainUpTo = 0;
  /** Later messages that nothing can replace. */
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
    if (!envelope.conflates && this.isEmpty) this.#plainUpTo = envelope.last;
    else this.#followMixed(envelope);
  }

  #followMixed(envelope: Envelope): void {
    this.note(envelope);
    for (let i = 0; i < envelope.count; i++) {
      if (envelope.conflation(i) === '') this.#plain.push(envelope.first + i);
    }
    const excess = this.#plain.length - MAX_PLAIN;
    if (excess > 0) this.#plainUpTo = this.#plain.splice(0, excess + MAX_PLAIN / 2).at(-1)!;
  }

  /** Takes in what an envelope conflates. Older envelopes may come after newer ones. */
  note(envelope: Envelope): void {
    if (!envelope.conflates) return;
    this.changes++;
    for (let i = 0; i < envelope.count; i++) {
      const id = envelope.conflation(i);
      const offset = envelope.first + i;
      if (id !== '' && offset > (this.#newest.get(id) ?? 0)) this.#newest.set(id, offset);
    }
  }

  /** Whether a newer message has taken the place of this one of an envelope. */
  has(envelope: Envelope, index: number): boolean {
    const id = envelope.conflation(index);
    return id !== '' && (this.#newest.get(id) ?? 0) > envelope.first + index;
  }

  /** Whether newer messages have surely taken the place of all those after an offset, up to another. */
  hasAll(after: number, upTo: number): boolean {
    if (this.isEmpty || upTo <= after || after < this.#plainUpTo) return false;
    if (this.#seenAfter < 0 || after < this.#seenAfter) return false;
    const isWithin = (offset: number) => offset > after && offset <= upTo;
    if (this.#plain.some(isWithin)) return false;
    for (const offset of this.#newest.values()) if (isWithin(offset)) return false;
    return true;
  }

  /** Nobody asks about ids before this offset any more: forgets those without a later message, now and then. */
  forgetBefore(oldest: number): void {
    if (this.#newest.size < this.#sweepAt) return;
    for (const [id, offset] of this.#newest) {
      if (offset >= oldest) continue;
      this.#newest.delete(id);
      this.#plainUpTo = Math.max(this.#plainUpTo, offset);
    }
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
