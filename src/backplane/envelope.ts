/**
 * What travels between nodes and what the history stores: the finished `message` frames of one room, as one
 * run of bytes between a small header and a trailer. A node that relays it passes the frames to its sockets
 * without decoding them.
 *
 *   at  size  field
 *    0   u8   version, 3 (a presence event on the same channel begins with 2)
 *    1   u8   flags: 1 = the table of excluded connections is present, 2 = the frames are signals, which have no
 *             offset field, 4 = the table of conflation ids is present
 *    2   u16  count of frames, 1 to 65535
 *    4  10 B  options for `publish.lua` (see `writePublishOptions`); to others they say only, where nothing is numbered, on which
 *             server it was published: see `publishedOn`
 *   14   8 B  id of the node that published, ASCII
 *   22   u64  milliseconds since the Unix epoch when the node sent it; for the latency metric only
 *   30   u16  where in each frame the nine bytes of its offset begin: the same for all messages of a room, 0 for
 *             signals
 *   32   u32  length of each frame, count times
 *        u32  with flag 1: the publishing connection that is not to get this frame, or 0; count times
 *        8 B  with flag 4: conflation id of the frame, or zeros: see `node/conflation-id.ts`; count times
 *        ...  the frames, their offsets not filled in
 *        u64  offset of the first frame, the rest follow on; 0 in rooms without history. Of  } added by the
 *             signals the offset of the message that they follow                            } backplane
 *        8 B  epoch, ASCII; in rooms without history zeros, with flag 4 a u64: see `mark`      }
 *
 * All integers are big-endian. The backplane only appends, and the reader fills in the offsets in the frames:
 * in Redis, where one thread works for all nodes, cutting a draft to write into it cost more than storing it.
 */
import {
  type ByteView,
  readAscii,
  readUint32,
  readUint64,
  writeAscii,
  writeUint32,
  writeUint64,
} from '../util/bytes.ts';
import type { HistoryPolicy } from './history-policy.ts';

const VERSION = 3;
const FLAG_EXCLUDES = 1;
const FLAG_SIGNALS = 2;
const FLAG_CONFLATES = 4;
const AT_PUBLISH_OPTIONS = 4;
const AT_ORIGIN = 14;
const AT_SENT = 22;
const AT_OFFSET_AT = 30;
const AT_TABLE = 32;
const NO_CONFLATION = '\0'.repeat(8);
/** A type byte and a uint64. */
const OFFSET_BYTES = 9;

/** Epochs and node ids are exactly this long, ASCII. */
export const ID_BYTES = 8;
/** Of a conflation id. */
export const CONFLATION_BYTES = 8;
/** What a draft is missing. */
const TRAILER_BYTES = 8 + ID_BYTES;

/** One frame on its way into an envelope. */
export interface DraftFrame {
  readonly frame: Uint8Array;
  /** 0 in signals. Either all frames of an envelope are signals, or none is. */
  readonly offsetAt: number;
  readonly exclude: number;
  /** Eight bytes, not all of them zero; null or left out for a frame that stands for itself. */
  readonly conflation?: Uint8Array | null;
}

/**
 * A view of an envelope's bytes, which live as long as the chunk that they arrived in: to keep it beyond the
 * turn, `copy` it.
 */
export class Envelope {
  readonly bytes: Buffer;
  readonly count: number;
  /** Offset of the first frame; 0 in rooms without history, and of signals. */
  readonly first: number;
  /** '' in rooms without history. */
  readonly epoch: string;
  readonly #framesAt: number;

  private constructor(bytes: Buffer, count: number, framesAt: number, likelyEpoch: string) {
    this.bytes = bytes;
    this.count = count;
    this.#framesAt = framesAt;
    const trailerAt = bytes.length - TRAILER_BYTES;
    const { isSignal } = this;
    this.first = isSignal ? 0 : readUint64(bytes, trailerAt);
    const hasEpoch = isSignal ? bytes[trailerAt + 8] !== 0 : this.first !== 0;
    this.epoch = hasEpoch ? epochAt(bytes, trailerAt + 8, likelyEpoch) : '';
  }

  /**
   * Takes over the bytes, and writes each frame's offset into them. Null for anything but an envelope of this
   * version: peers' bytes never crash a node. `likelyEpoch`, that of the room's last envelope, saves making
   * the same string again.
   */
  static parse(bytes: Buffer, likelyEpoch = ''): Envelope | null {
    if (bytes.length < AT_TABLE + TRAILER_BYTES || bytes[0] !== VERSION) return null;
    const count = readUint16(bytes, 2);
    const flags = bytes[1]!;
    const framesAt = AT_TABLE + count * tableBytes(flags);
    const trailerAt = bytes.length - TRAILER_BYTES;
    if (count === 0 || trailerAt < framesAt) return null;
    const least = flags & FLAG_SIGNALS ? 1 : readUint16(bytes, AT_OFFSET_AT) + OFFSET_BYTES;
    let at = framesAt;
    for (let i = 0; i < count; i++) {
      const length = readUint32(bytes, AT_TABLE + i * 4);
      if (length < least) return null;
      at += length;
    }
    if (at !== trailerAt) return null;
    const envelope = new Envelope(bytes, count, framesAt, likelyEpoch);
    if (envelope.first !== 0) envelope.#fillOffsets();
    return envelope;
  }

  /** Offset of the last frame; 0 in rooms without history. */
  get last(): number {
    return this.first === 0 ? 0 : this.first + this.count - 1;
  }

  get origin(): string {
    return readAscii(this.bytes, AT_ORIGIN, ID_BYTES);
  }

  get sentAtMs(): number {
    return readUint64(this.bytes, AT_SENT);
  }

  /**
   * Of what has no numbers, signals or a room without history: the number of the server of a Redis Cluster that the node published
   * it on. 0: it does not say.
   */
  get publishedOn(): number {
    return readUint32(this.bytes, AT_PUBLISH_OPTIONS) >>> KEPT_MESSAGES_BITS;
  }

  /** Its frames are signals: not stored, not numbered. */
  get isSignal(): boolean {
    return (this.bytes[1]! & FLAG_SIGNALS) !== 0;
  }

  /** Of signals: offset of the room's newest message when they were sent. It means nothing without an `epoch`. */
  get sentAfter(): number {
    return readUint64(this.bytes, this.bytes.length - TRAILER_BYTES);
  }

  /** Some of its frames take the place of earlier ones. */
  get conflates(): boolean {
    return (this.bytes[1]! & FLAG_CONFLATES) !== 0;
  }

  /** The conflation id of a frame, one character for each byte; '' for a frame that stands for itself. */
  conflation(index: number): string {
    if (!this.conflates) return '';
    const at = AT_TABLE + this.count * (this.hasExcludes ? 8 : 4) + index * CONFLATION_BYTES;
    const id = this.bytes.toString('latin1', at, at + CONFLATION_BYTES);
    return id === NO_CONFLATION ? '' : id;
  }

  /**
   * Where its last frame stands among those of a room without history that conflate: the store's count, which
   * only rises. 0 where the store keeps none.
   */
  get mark(): number {
    return this.first === 0 && this.conflates ? readUint64(this.bytes, this.bytes.length - ID_BYTES) : 0;
  }

  get hasExcludes(): boolean {
    return (this.bytes[1]! & FLAG_EXCLUDES) !== 0;
  }

  /** All frames as one run of bytes: one WebSocket message as it stands. */
  get frames(): Buffer {
    return this.bytes.subarray(this.#framesAt, this.bytes.length - TRAILER_BYTES);
  }

  frameLength(index: number): number {
    return readUint32(this.bytes, AT_TABLE + index * 4);
  }

  /** The origin's connection that must not get this frame, or 0. */
  excluded(index: number): number {
    return this.hasExcludes ? readUint32(this.bytes, AT_TABLE + (this.count + index) * 4) : 0;
  }

  /** The frames from `from` up to, not including, `to`, as one run of bytes. */
  slice(from: number, to: number): Buffer {
    let start = this.#framesAt;
    for (let i = 0; i < from; i++) start += this.frameLength(i);
    let end = start;
    for (let i = from; i < to; i++) end += this.frameLength(i);
    return this.bytes.subarray(start, end);
  }

  /** The frames with an offset above `after`, as one run of bytes; all of them in rooms without history. */
  after(after: number): Buffer {
    if (this.first === 0) return this.frames;
    return this.slice(Math.min(this.count, Math.max(0, after - this.first + 1)), this.count);
  }

  /** A copy with its own memory, to keep: what arrives is a view of one socket read. */
  copy(): Envelope {
    // Not from Node's pool, which it would keep alive as a whole.
    const bytes = Buffer.allocUnsafeSlow(this.bytes.length);
    bytes.set(this.bytes);
    return new Envelope(bytes, this.count, this.#framesAt, this.epoch);
  }

  /** Calls back for each frame, in order. */
  eachFrame(visit: (index: number, frame: Buffer) => void): void {
    let at = this.#framesAt;
    for (let i = 0; i < this.count; i++) {
      const end = at + this.frameLength(i);
      visit(i, this.bytes.subarray(at, end));
      at = end;
    }
  }

  #fillOffsets(): void {
    let at = this.#framesAt + readUint16(this.bytes, AT_OFFSET_AT) + 1;
    for (let i = 0; i < this.count; i++) {
      writeUint64(this.bytes, this.first + i, at);
      at += this.frameLength(i);
    }
  }
}

/** How many bytes `writeDraft` writes. */
export function draftBytes(drafts: readonly DraftFrame[]): number {
  let size = AT_TABLE + drafts.length * tableBytes(flagsOf(drafts));
  for (const draft of drafts) size += draft.frame.length;
  return size;
}

/** Writes an envelope without its trailer: the input of `publish.lua`. Returns where it ends. */
export function writeDraft(
  bytes: Buffer,
  start: number,
  drafts: readonly DraftFrame[],
  origin: string,
  sentAtMs: number,
): number {
  const count = drafts.length;
  const flags = flagsOf(drafts);
  bytes[start] = VERSION;
  bytes[start + 1] = flags;
  writeUint16(bytes, count, start + 2);
  bytes.fill(0, start + AT_PUBLISH_OPTIONS, start + AT_ORIGIN);
  writeAscii(bytes, origin, start + AT_ORIGIN);
  writeUint64(bytes, sentAtMs, start + AT_SENT);
  writeUint16(bytes, drafts[0]!.offsetAt, start + AT_OFFSET_AT);
  const table = start + AT_TABLE;
  let at = table + count * tableBytes(flags);
  if (flags & FLAG_CONFLATES) writeConflations(bytes, at - count * CONFLATION_BYTES, drafts);
  for (let i = 0; i < count; i++) {
    const { frame, exclude } = drafts[i]!;
    writeUint32(bytes, frame.length, table + i * 4);
    if (flags & FLAG_EXCLUDES) writeUint32(bytes, exclude, table + (count + i) * 4);
    bytes.set(frame, at);
    at += frame.length;
  }
  return at;
}

/**
 * An envelope with first offset 0 and no epoch: for a room without history, or waiting for `finishEnvelope`. `publishedOn`: as in
 * `Envelope`.
 */
export function draftEnvelope(
  drafts: readonly DraftFrame[],
  origin: string,
  sentAtMs: number,
  publishedOn = 0,
): Buffer {
  const bytes = Buffer.allocUnsafe(draftBytes(drafts) + TRAILER_BYTES);
  bytes.fill(0, writeDraft(bytes, 0, drafts, origin, sentAtMs));
  if (publishedOn !== 0) writeUint32(bytes, publishedOn * (MAX_KEPT_MESSAGES + 1), AT_PUBLISH_OPTIONS);
  return bytes;
}

/**
 * Gives a draft its position, in place: the memory backplane's half of what `publish.lua` does in Redis. A
 * room without history has epoch '' and first 0, and every frame in it keeps offset 0. For signals `first` is the
 * offset of the message that they follow.
 */
export function finishEnvelope(draft: Buffer, epoch: string, first: number): Envelope {
  writeUint64(draft, first, draft.length - TRAILER_BYTES);
  writeAscii(draft, epoch, draft.length - ID_BYTES);
  const envelope = Envelope.parse(draft, epoch);
  if (envelope === null) throw new Error('a draft envelope is malformed');
  return envelope;
}

/** The same in a room without history, where a draft conflates: `mark` is that of its last frame. */
export function finishConflated(draft: Buffer, mark: number): Envelope {
  writeUint64(draft, mark, draft.length - ID_BYTES);
  const envelope = Envelope.parse(draft);
  if (envelope === null) throw new Error('a draft envelope is malformed');
  return envelope;
}

const KEPT_MESSAGES_BITS = 17;
const MAX_KEPT_MESSAGES = 2 ** KEPT_MESSAGES_BITS - 1;
const MAX_KEPT_UNITS = 2 ** 15 - 1;
/** `Envelope.publishedOn` is from 0 to this. */
export const MAX_PUBLISHED_ON = MAX_KEPT_UNITS;
const KEPT_UNIT_BYTES = 64 * 1024;

/**
 * Writes into the draft at `start` what `publish.lua` needs to know about the batch: how much the room keeps
 * (u32: messages in the lower 17 bits, 0 in a room without history; in the upper 15 how many times 64 KiB, 0 for no limit in bytes, or
 * with 0 messages `publishedOn`), for how many ms (u32), and how many of the frames have an idempotency key (u16). It saves an
 * argument for every room in every call.
 */
export function writePublishOptions(
  bytes: Buffer,
  start: number,
  { messages, ageMs, bytes: keptBytes = 0 }: HistoryPolicy,
  keyed: number,
  publishedOn = 0,
): void {
  const units =
    messages === 0 ? publishedOn : Math.min(Math.ceil(keptBytes / KEPT_UNIT_BYTES), MAX_KEPT_UNITS);
  const kept = units * (MAX_KEPT_MESSAGES + 1) + Math.min(messages, MAX_KEPT_MESSAGES);
  writeUint32(bytes, kept, start + AT_PUBLISH_OPTIONS);
  writeUint32(bytes, Math.min(ageMs, 0xffff_ffff), start + AT_PUBLISH_OPTIONS + 4);
  writeUint16(bytes, keyed, start + AT_PUBLISH_OPTIONS + 8);
}

function flagsOf(drafts: readonly DraftFrame[]): number {
  let flags = drafts[0]!.offsetAt === 0 ? FLAG_SIGNALS : 0;
  for (const { exclude, conflation } of drafts) {
    if (exclude !== 0) flags |= FLAG_EXCLUDES;
    if (conflation) flags |= FLAG_CONFLATES;
  }
  return flags;
}

/** Of one frame in all tables. */
function tableBytes(flags: number): number {
  return 4 + (flags & FLAG_EXCLUDES ? 4 : 0) + (flags & FLAG_CONFLATES ? CONFLATION_BYTES : 0);
}

function writeConflations(bytes: Buffer, start: number, drafts: readonly DraftFrame[]): void {
  bytes.fill(0, start, start + drafts.length * CONFLATION_BYTES);
  drafts.forEach(({ conflation }, i) => {
    if (conflation) bytes.set(conflation, start + i * CONFLATION_BYTES);
  });
}

function epochAt(bytes: ByteView, at: number, likely: string): string {
  if (likely.length !== ID_BYTES) return readAscii(bytes, at, ID_BYTES);
  for (let i = 0; i < ID_BYTES; i++) {
    if (bytes[at + i] !== likely.charCodeAt(i)) return readAscii(bytes, at, ID_BYTES);
  }
  return likely;
}

function readUint16(bytes: ByteView, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function writeUint16(bytes: ByteView, value: number, at: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
