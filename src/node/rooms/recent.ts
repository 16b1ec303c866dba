import type { Envelope } from '../../backplane/envelope.ts';
import { type KeptEnvelope, KeptEnvelopes } from '../../backplane/kept-envelopes.ts';
import type { Clock } from '../../util/clock.ts';
import { Replaced } from './replaced.ts';

/** The history policy's limits, since this must not serve what history would not. */
export interface RecentLimits {
  readonly messages: number;
  readonly ageMs: number;
  /** Of the envelopes. Absent: no limit. */
  readonly bytes?: number;
}

/** Bytes of recent envelopes that a node keeps for a room at most. */
export const RECENT_BYTES = 4 * 1024 * 1024;
/** The same once all rooms together have too many: the newest fifty messages of an ordinary room. */
const CROWDED_BYTES = 128 * 1024;
/** Bytes of recent envelopes that a node keeps for all rooms before busy ones get less. */
const ALL_RECENT_BYTES = 128 * 1024 * 1024;

/** What the recent envelopes of all rooms of a node have in common. */
export class RecentMemory {
  readonly #mostBytes: number;
  bytes = 0;
  /** Messages that left a history for their number or size before a client could have come back. */
  trimmedEarly = 0;

  constructor(mostBytes = ALL_RECENT_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** Rooms that grow now give back what is beyond their share. */
  get isCrowded(): boolean {
    return this.bytes > this.#mostBytes;
  }
}

/** How long a client may be away: a tunnel, a lift, a deploy. */
export const RECONNECT_MS = 30_000;

/**
 * The newest envelopes of a room, contiguous, kept on the node so that returning clients are served without
 * asking Redis. Limited by messages, bytes and age, like the history that it mirrors.
 */
export class RecentEnvelopes {
  readonly #limits: RecentLimits;
  #memory: RecentMemory;
  /** Some left for their number or size, not for their age. */
  #wasTrimmed = false;
  /** With the time at which each expires, on the clock of `nowMs`. */
  readonly #kept = new KeptEnvelopes();
  /** Of what is here, and of older messages that were read from history. */
  readonly replaced = new Replaced();
  /** Up to this offset nobody has the messages any more, as far as is known here. */
  #goneUpTo = 0;
  #counted = { last: 0, upTo: 0, of: 0, replaced: 0 };

  constructor(limits: RecentLimits, memory = new RecentMemory()) {
    this.#limits = limits;
    this.#memory = memory;
  }

  /** Offset of the oldest message here, or null if there is none. */
  get first(): number | null {
    return this.#kept.oldest?.first ?? null;
  }

  /**
   * About how long, in milliseconds, a client may be away and still miss nothing, if the number or size of
   * messages limits the history; infinity if neither does. Where the node remembers less than history keeps,
   * what it remembers stands for the rest.
   */
  reachMs(nowMs: number): number {
    const { messages, bytes, oldest } = this.#kept;
    if (oldest === null || !this.#wasTrimmed) return Infinity;
    const full = Math.max(messages / this.#limits.messages, bytes / (this.#limits.bytes ?? Infinity));
    return (nowMs - this.#receivedMs(oldest)) / full;
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
    return kept.messages + messages <= this.#limits.messages && kept.bytes + bytes <= this.#mostBytes();
  }

  /** Adds the envelope that follows. */
  append(envelope: Envelope, nowMs: number): void {
    const before = this.#kept.bytes;
    this.#kept.append(envelope, nowMs + this.#limits.ageMs);
    this.#trim(nowMs);
    this.#memory.bytes += this.#kept.bytes - before;
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
    this.#memory.bytes += kept.bytes;
    this.#kept.prepend(kept);
    const before = this.#kept.bytes;
    this.#trim(null);
    this.#memory.bytes += this.#kept.bytes - before;
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
    this.#wasTrimmed = false;
    this.#memory.bytes -= this.#kept.bytes;
    this.#kept.clear();
    this.replaced.clear();
  }

  /** The room is closed here: a read that still comes back must not count for the node. */
  release(): void {
    this.clear();
    this.#memory = new RecentMemory();
  }

  #mostBytes(): number {
    const most = this.#memory.isCrowded ? CROWDED_BYTES : RECENT_BYTES;
    return Math.min(most, this.#limits.bytes ?? Infinity);
  }

  #receivedMs({ timeMs }: KeptEnvelope): number {
    return timeMs - this.#limits.ageMs;
  }

  /** `nowMs` null: nothing new has come, so history drops nothing for it. */
  #trim(nowMs: number | null): void {
    const kept = this.#kept;
    const mostBytes = this.#mostBytes();
    for (let oldest = kept.oldest; oldest !== null && oldest.messages < kept.messages; oldest = kept.oldest) {
      const isSpare = kept.messages - oldest.messages >= this.#limits.messages;
      if (!isSpare && kept.bytes <= mostBytes) return;
      const isGone = isSpare || kept.bytes > (this.#limits.bytes ?? Infinity);
      if (nowMs !== null && isGone && nowMs - this.#receivedMs(oldest) < RECONNECT_MS) {
        this.#memory.trimmedEarly += oldest.messages;
      }
      this.#wasTrimmed = true;
      kept.dropOldest();
    }
  }

  #expire(nowMs: number): void {
    const kept = this.#kept;
    const before = kept.bytes;
    for (let { oldest } = kept; oldest !== null && oldest.timeMs <= nowMs; oldest = kept.oldest) {
      this.noteGone(oldest.last);
      kept.dropOldest();
    }
    this.#memory.bytes += kept.bytes - before;
  }
}

/** Index of the first envelope from which nothing is missing: a store may have lost some in between. */
function beginOfWhole(envelopes: readonly Envelope[]): number {
  let begin = envelopes.length - 1;
  while (begin > 0 && envelopes[begin - 1]!.last + 1 === envelopes[begin]!.first) begin--;
  return begin;
}
