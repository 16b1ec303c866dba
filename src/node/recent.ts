import type { Envelope } from '../backplane/envelope.ts';
import type { Clock } from '../util/clock.ts';

interface Entry {
  readonly envelope: Envelope;
  /** On the clock of `nowMs`. */
  readonly expiresAtMs: number;
}

export interface RecentLimits {
  /** Messages; the history policy's number, since what history would not serve must not be served from here. */
  readonly messages: number;
  readonly ageMs: number;
  readonly bytes: number;
}

/**
 * The newest envelopes of a room, contiguous, kept on the node so that those who come back are served without asking
 * Redis. Bounded by messages, bytes and age, like the history that it mirrors.
 */
export class RecentEnvelopes {
  readonly #limits: RecentLimits;
  #entries: Entry[] = [];
  #messages = 0;
  #bytes = 0;

  constructor(limits: RecentLimits) {
    this.#limits = limits;
  }

  /** Offset of the oldest message here, or null where there is none. */
  get first(): number | null {
    return this.#entries[0]?.envelope.first ?? null;
  }

  /** Whether everything after this offset is here, given where the room stands. */
  covers(after: number, roomOffset: number, nowMs: number): boolean {
    this.#expire(nowMs);
    if (after >= roomOffset) return true;
    const { first } = this;
    return first !== null && after >= first - 1;
  }

  /** Whether so many older messages, of the size of those that are here, would be kept. */
  hasRoomFor(messages: number): boolean {
    if (this.#messages === 0) return true;
    const bytes = (this.#bytes / this.#messages) * messages;
    return this.#messages + messages <= this.#limits.messages && this.#bytes + bytes <= this.#limits.bytes;
  }

  /** Adds the envelope that follows on. */
  append(envelope: Envelope, nowMs: number): void {
    this.#entries.push({ envelope, expiresAtMs: nowMs + this.#limits.ageMs });
    this.#messages += envelope.count;
    this.#bytes += envelope.bytes.length;
    this.#trim();
  }

  /** Adds older envelopes, read from history, in front. What does not end where this begins is of no use, and left out. */
  prepend(envelopes: readonly Envelope[], roomOffset: number, clock: Clock): void {
    const upTo = (this.first ?? roomOffset + 1) - 1;
    const older = envelopes.filter((envelope) => envelope.last <= upTo);
    if (older.at(-1)?.last !== upTo) return;
    // When they were received is not known here; what their sender's clock says is near enough to age them by.
    const bornMs = clock.nowMs() - clock.wallMs();
    const entries = older.map((envelope) => ({
      envelope,
      expiresAtMs: Math.min(clock.nowMs(), bornMs + envelope.sentAtMs) + this.#limits.ageMs,
    }));
    this.#entries = [...entries, ...this.#entries];
    for (const { envelope } of entries) {
      this.#messages += envelope.count;
      this.#bytes += envelope.bytes.length;
    }
    this.#trim();
  }

  /** The envelopes that hold messages after this offset, oldest first. */
  after(after: number): Envelope[] {
    const from = this.#entries.findIndex(({ envelope }) => envelope.last > after);
    return from === -1 ? [] : this.#entries.slice(from).map(({ envelope }) => envelope);
  }

  clear(): void {
    this.#entries = [];
    this.#messages = 0;
    this.#bytes = 0;
  }

  #trim(): void {
    let drop = 0;
    for (; drop < this.#entries.length - 1; drop++) {
      const { envelope } = this.#entries[drop]!;
      const spare = this.#messages - envelope.count >= this.#limits.messages;
      if (!spare && this.#bytes <= this.#limits.bytes) break;
      this.#forget(envelope);
    }
    if (drop > 0) this.#entries.splice(0, drop);
  }

  #expire(nowMs: number): void {
    let drop = 0;
    while (drop < this.#entries.length && this.#entries[drop]!.expiresAtMs <= nowMs) {
      this.#forget(this.#entries[drop++]!.envelope);
    }
    if (drop > 0) this.#entries.splice(0, drop);
  }

  #forget(envelope: Envelope): void {
    this.#messages -= envelope.count;
    this.#bytes -= envelope.bytes.length;
  }
}
