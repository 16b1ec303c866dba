/**
 * The newest envelopes of one room, oldest first and contiguous, kept as bytes. An object for each would be
 * promoted, marked and swept by the garbage collector: measured without a network, with 500 busy rooms, that
 * was a third of a publish. Here an envelope is copied into a slab, and becomes an object again when it is
 * read.
 */
import { Envelope } from './envelope.ts';

/**
 * A slab is as large as everything kept when it is made, within these limits. So a room that keeps little has
 * small slabs.
 */
const SMALLEST_SLAB_BYTES = 512;
const LARGEST_SLAB_BYTES = 32 * 1024;

export interface ReadLimits {
  readonly bytes?: number;
  readonly messages?: number;
}

export class KeptEnvelopes {
  #slabs: Slab[] = [];
  #messages = 0;
  #bytes = 0;

  get messages(): number {
    return this.#messages;
  }

  /**
   * Bytes of the envelopes; each has 24 bytes of marks besides, and the oldest and the newest slab are rarely
   * full.
   */
  get bytes(): number {
    return this.#bytes;
  }

  /** The size of the slabs. */
  get allocatedBytes(): number {
    return this.#slabs.reduce((sum, { size }) => sum + size, 0);
  }

  /** The next envelope to go, or null. Valid until the next call that adds or drops. */
  get oldest(): KeptEnvelope | null {
    return this.#slabs[0] ?? null;
  }

  /** Adds the envelope that follows, with a time of the caller's choice. */
  append(envelope: Envelope, timeMs: number): void {
    let slab = this.#slabs.at(-1);
    if (slab === undefined || !slab.hasRoomFor(envelope)) {
      slab = new Slab(this.#slabBytesFor(envelope), envelope);
      this.#slabs.push(slab);
    }
    slab.append(envelope, timeMs);
    this.#messages += envelope.count;
    this.#bytes += envelope.bytes.length;
  }

  /** As much again as is kept. A large envelope gets its own slab: two in one would waste the rest. */
  #slabBytesFor({ bytes }: Envelope): number {
    if (bytes.length > LARGEST_SLAB_BYTES / 8) return 0;
    const asMuchAgain = Math.ceil(this.#bytes / 8) * 8;
    return Math.min(Math.max(SMALLEST_SLAB_BYTES, asMuchAgain), LARGEST_SLAB_BYTES);
  }

  /** Puts others in front, which must end where these begin. They are taken over. */
  prepend(older: KeptEnvelopes): void {
    this.#slabs.unshift(...older.#slabs);
    this.#messages += older.#messages;
    this.#bytes += older.#bytes;
  }

  dropOldest(): void {
    const slab = this.#slabs[0];
    if (slab === undefined) return;
    this.#messages -= slab.messages;
    this.#bytes -= slab.bytes;
    slab.dropOldest();
    if (slab.isEmpty) this.#slabs.shift();
  }

  /**
   * The envelopes with messages after this offset, oldest first: as many as it takes to exceed `bytes` or to
   * reach `messages`. They are views of bytes that never change, and may be kept as long as needed.
   */
  after(after: number, { bytes = Infinity, messages = Infinity }: ReadLimits = {}): Envelope[] {
    const found: Envelope[] = [];
    const { oldest } = this;
    if (oldest === null) return found;
    const from = Math.max(after + 1, oldest.first);
    let foundBytes = 0;
    let foundMessages = 0;
    for (const slab of this.#slabs) {
      if (slab.newest < from) continue;
      for (const envelope of slab.envelopes()) {
        if (foundBytes > bytes || foundMessages >= messages) return found;
        if (envelope.last < from) continue;
        found.push(envelope);
        foundBytes += envelope.bytes.length;
        foundMessages += envelope.last - Math.max(from, envelope.first) + 1;
      }
    }
    return found;
  }

  clear(): void {
    this.#slabs = [];
    this.#messages = 0;
    this.#bytes = 0;
  }
}

/** What can be read from an envelope without making it an object. */
export interface KeptEnvelope {
  /** Offsets of its first and its last message. */
  readonly first: number;
  readonly last: number;
  readonly messages: number;
  readonly bytes: number;
  readonly timeMs: number;
}

// Three numbers for each envelope: where its bytes end, the offset of its last message, its time.
const MARKS = 3;
const MARKS_BYTES = MARKS * 8;

/**
 * Consecutive envelopes from the front, their marks from the back. Written bytes are never written again. As
 * a `KeptEnvelope` it is its oldest one.
 */
class Slab implements KeptEnvelope {
  readonly #bytes: Buffer;
  readonly #marks: Float64Array;
  /** Offset of the message before its first. */
  readonly #before: number;
  #used = 0;
  #count = 0;
  /** How many of them were dropped. */
  #gone = 0;
  /** Concurrent readers share the objects, which live as long as one of them keeps them. */
  #views: WeakRef<Envelope[]> | null = null;

  /** Has room for one envelope, and if possible for `wanted` bytes. */
  constructor(wanted: number, { bytes, first }: Envelope) {
    const size = Math.max(wanted, Math.ceil(bytes.length / 8) * 8 + MARKS_BYTES);
    // Not from Node's pool, which a room that keeps little would keep alive as a whole.
    this.#bytes = Buffer.allocUnsafeSlow(size);
    this.#marks = new Float64Array(this.#bytes.buffer);
    this.#before = first - 1;
  }

  get size(): number {
    return this.#bytes.length;
  }

  get isEmpty(): boolean {
    return this.#gone === this.#count;
  }

  /** Offset of its newest message. */
  get newest(): number {
    return this.#lastOf(this.#count - 1);
  }

  get first(): number {
    return this.#lastOf(this.#gone - 1) + 1;
  }

  get last(): number {
    return this.#lastOf(this.#gone);
  }

  get messages(): number {
    return this.last - this.first + 1;
  }

  get bytes(): number {
    return this.#endOf(this.#gone) - this.#endOf(this.#gone - 1);
  }

  get timeMs(): number {
    return this.#marks[this.#marksAt(this.#gone) + 2]!;
  }

  #marksAt(index: number): number {
    return this.#marks.length - (index + 1) * MARKS;
  }

  #endOf(index: number): number {
    return index < 0 ? 0 : this.#marks[this.#marksAt(index)]!;
  }

  #lastOf(index: number): number {
    return index < 0 ? this.#before : this.#marks[this.#marksAt(index) + 1]!;
  }

  hasRoomFor({ bytes }: Envelope): boolean {
    return this.#used + bytes.length + (this.#count + 1) * MARKS_BYTES <= this.#bytes.length;
  }

  append({ bytes, last }: Envelope, timeMs: number): void {
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    const at = this.#marksAt(this.#count++);
    this.#marks[at] = this.#used;
    this.#marks[at + 1] = last;
    this.#marks[at + 2] = timeMs;
  }

  dropOldest(): void {
    this.#gone++;
  }

  /** Everything in it, including what was dropped. */
  envelopes(): readonly Envelope[] {
    let views = this.#views?.deref();
    if (views === undefined) {
      views = [];
      this.#views = new WeakRef(views);
    }
    for (let i = views.length; i < this.#count; i++) views.push(this.#envelope(i));
    return views;
  }

  #envelope(index: number): Envelope {
    const envelope = Envelope.parse(this.#bytes.subarray(this.#endOf(index - 1), this.#endOf(index)));
    if (envelope === null) throw new Error('a kept envelope is malformed');
    return envelope;
  }
}
