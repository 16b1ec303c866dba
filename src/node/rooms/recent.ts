import type { Envelope } from '../../backplane/envelope.ts';
import { KeptEnvelopes } from '../../backplane/kept-envelopes.ts';
import type { Clock } from '../../util/clock.ts';
import { Replaced } from './replaced.ts';

export interface RecentLimits {
  /** Messages; the history policy's number, since this must not serve what history would not. */
  readonly messages: number;
  readonly ageMs: number;
  readonly bytes: number;
}

/**
 * The newest envelopes of a room, contiguous, kept on the node so that returning clients are served without
 * asking Redis. Limited by messages, bytes and age, like the history that it mirrors.
 */
export class RecentEnvelopes {
  readonly #limits: RecentLimits;
  /** With the time at which each expires, on the clock of `nowMs`. */
  readonly #kept = new KeptEnvelopes();
  /** Of what is here, and of older messages that were read from history. */
  readonly replaced = new Replaced();
  /** Up to this offset nobody has the messages any more, as far as is known here. */
  #goneUpTo = 0;
  #counted = { last: 0, upTo: 0, of: 0, replaced: 0 };

  constructor(limits: RecentLimits) {
    this.#limits = limits;
  }

  /** Offset of the oldest message here, or null if there is none. */
  get first(): number | null {
    return this.#kept.oldest?.first ?? null;
  }

  /**
   * How long, in milliseconds, a client may be away and still miss nothing, if the number of messages limits
   * what is kept; infinity if it does not, as in a room that keeps fewer than it may.
   */
  reachMs(nowMs: number): number {
    const { messages, oldest } = this.#kept;
    if (oldest === null || messages < this.#limits.messages) return Infinity;
    return nowMs - (oldest.timeMs - this.#limits.ageMs);
  }

  /** The same, without what has expired by now. */
  oldest(nowMs: number): number | null {
    this.#expire(nowMs);
    return this.first;
  }

  get goneUpTo(): number {
    return this.#goneUpTo;
  }

  /** History no longer has the messages up to this offset: nobody needs to look for them. */
  noteGone(upTo: number): void {
    this.#goneUpTo = Math.max(this.#goneUpTo, upTo);
  }

  /** Whether this many older messages, of the average size of those here, would be kept. */
  hasRoomFor(messages: number): boolean {
    const kept = this.#kept;
    if (kept.messages === 0) return true;
    const bytes = (kept.bytes / kept.messages) * messages;
    return kept.messages + messages <= this.#limits.messages && kept.bytes + bytes <= this.#limits.bytes;
  }

  /** Adds the envelope that follows. */
  append(envelope: Envelope, nowMs: number): void {
    this.#kept.append(envelope, nowMs + this.#limits.ageMs);
    this.#trim();
    this.replaced.follow(envelope);
    if (envelope.conflates) this.replaced.forgetBefore(this.first ?? 0);
  }

  /**
   * The offset before the oldest message here, if newer messages have taken the place of all that is missing after
   * `after`; else null. It need not be in history any more.
   */
  passesTo(after: number): number | null {
    const upTo = (this.first ?? 0) - 1;
    return this.replaced.hasAll(after, upTo) ? upTo : null;
  }

  /**
   * Adds older envelopes, read from history, in front. Leaves out those that do not end where this begins.
   */
  prepend(envelopes: readonly Envelope[], roomOffset: number, clock: Clock): void {
    const upTo = (this.first ?? roomOffset + 1) - 1;
    const older = envelopes.filter((envelope) => envelope.last <= upTo);
    if (older.at(-1)?.last !== upTo) return;
    const whole = older.slice(beginOfWhole(older));
    // Their time of receipt is not known here; their sender's clock is close enough to age them by.
    const bornMs = clock.nowMs() - clock.wallMs();
    const kept = new KeptEnvelopes();
    for (const envelope of whole) {
      const receivedMs = Math.min(clock.nowMs(), bornMs + envelope.sentAtMs);
      kept.append(envelope, receivedMs + this.#limits.ageMs);
    }
    this.replaced.precede(whole);
    this.#kept.prepend(kept);
    this.#trim();
  }

  /**
   * The envelopes with messages after this offset, oldest first: as many as it takes to exceed `maxBytes`, if
   * given.
   */
  after(after: number, maxBytes?: number): Envelope[] {
    return this.#kept.after(after, maxBytes === undefined ? {} : { bytes: maxBytes });
  }

  /**
   * How many messages up to an offset are replaced, among those that one has to go back for `last` that are not, as
   * far as is known here.
   */
  replacedAmongNewest(last: number, upTo: number): number {
    if (this.replaced.isEmpty || last === 0) return 0;
    const known = this.#counted;
    // Many join at once, and ask for the same.
    if (known.last === last && known.upTo === upTo && known.of === this.replaced.changes)
      return known.replaced;
    const replaced = this.replaced.among(last, upTo);
    this.#counted = { last, upTo, of: this.replaced.changes, replaced };
    return replaced;
  }

  /** Forgets all, what is gone too: the numbering may be another one. */
  clear(): void {
    this.#goneUpTo = 0;
    this.#kept.clear();
    this.replaced.clear();
  }

  #trim(): void {
    const kept = this.#kept;
    for (let oldest = kept.oldest; oldest !== null && oldest.messages < kept.messages; oldest = kept.oldest) {
      const spare = kept.messages - oldest.messages >= this.#limits.messages;
      if (!spare && kept.bytes <= this.#limits.bytes) return;
      kept.dropOldest();
    }
  }

  #expire(nowMs: number): void {
    const kept = this.#kept;
    for (let { oldest } = kept; oldest !== null && oldest.timeMs <= nowMs; oldest = kept.oldest) {
      this.noteGone(oldest.last);
      kept.dropOldest();
    }
  }
}

/** Index of the first envelope from which nothing is missing: a store may have lost some in between. */
function beginOfWhole(envelopes: readonly Envelope[]): number {
  let begin = envelopes.length - 1;
  while (begin > 0 && envelopes[begin - 1]!.last + 1 === envelopes[begin]!.first) begin--;
  return begin;
}
