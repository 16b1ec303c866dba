/**
 * What travels between nodes and what the history keeps: the finished `message` frames of one room, as one run of
 * bytes behind a small header. A node that relays it hands the frames to its sockets without decoding them.
 *
 *   at  size  field
 *    0   u8   version, 1
 *    1   u8   flags: 1 = the table of excluded connections is present
 *    2   u16  count of frames, 1 to 65535
 *    4   u64  offset of the first frame, the rest follow on; 0 in rooms without history   } filled in by the
 *   12   8 B  epoch, ASCII; zeros in rooms without history                               } backplane
 *   20   8 B  id of the node that published, ASCII
 *   28   u64  milliseconds since the Unix epoch when the node sent it; for the latency metric only
 *   36   u16  where in each frame the nine bytes of its offset begin: the same for all frames of a room
 *   38   u32  length of each frame, count times
 *        u32  with flag 1: the publishing connection that is not to get this frame, or 0; count times
 *        ...  the frames
 *
 * All integers are big-endian.
 */
import { type ByteView, readAscii, readUint64, writeAscii, writeUint64 } from '../util/bytes.ts';

const VERSION = 1;
const FLAG_EXCLUDES = 1;
const AT_FIRST = 4;
const AT_EPOCH = 12;
const AT_ORIGIN = 20;
const AT_SENT = 28;
const AT_OFFSET_AT = 36;
const AT_TABLE = 38;

/** Epochs and node ids are exactly this long, ASCII. */
export const ID_BYTES = 8;

/** One frame on its way into an envelope. */
export interface DraftFrame {
  readonly frame: Uint8Array;
  readonly offsetAt: number;
  readonly exclude: number;
}

/** A read-only view of an envelope's bytes. */
export class Envelope {
  readonly bytes: Buffer;
  readonly count: number;
  /** Offset of the first frame; 0 in rooms without history. */
  readonly first: number;
  /** '' in rooms without history. */
  readonly epoch: string;
  readonly #framesAt: number;

  private constructor(bytes: Buffer, count: number, framesAt: number) {
    this.bytes = bytes;
    this.count = count;
    this.#framesAt = framesAt;
    this.first = readUint64(bytes, AT_FIRST);
    this.epoch = this.first === 0 ? '' : readAscii(bytes, AT_EPOCH, ID_BYTES);
  }

  /** Null for bytes that are not an envelope of this version: peers' bytes never crash a node. */
  static parse(bytes: Buffer): Envelope | null {
    if (bytes.length < AT_TABLE || bytes[0] !== VERSION) return null;
    const count = bytes.readUInt16BE(2);
    const framesAt = AT_TABLE + count * (bytes[1]! & FLAG_EXCLUDES ? 8 : 4);
    if (count === 0 || bytes.length < framesAt) return null;
    let length = framesAt;
    for (let i = 0; i < count; i++) length += bytes.readUInt32BE(AT_TABLE + i * 4);
    return length === bytes.length ? new Envelope(bytes, count, framesAt) : null;
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

  get hasExcludes(): boolean {
    return (this.bytes[1]! & FLAG_EXCLUDES) !== 0;
  }

  /** All frames as one run of bytes: one WebSocket message as it stands. */
  get frames(): Buffer {
    return this.bytes.subarray(this.#framesAt);
  }

  frameLength(index: number): number {
    return this.bytes.readUInt32BE(AT_TABLE + index * 4);
  }

  /** The origin's connection that is not to get this frame, or 0. */
  excluded(index: number): number {
    return this.hasExcludes ? this.bytes.readUInt32BE(AT_TABLE + (this.count + index) * 4) : 0;
  }

  /** The frames from `from` up to and without `to`, as one run of bytes. */
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
}

/** An envelope that lacks first offset and epoch: what a node hands to its backplane. */
export function draftEnvelope(drafts: readonly DraftFrame[], origin: string, sentAtMs: number): Buffer {
  const count = drafts.length;
  let size = 0;
  let excludes = 0;
  for (const draft of drafts) {
    size += draft.frame.length;
    excludes |= draft.exclude;
  }
  const framesAt = AT_TABLE + count * (excludes === 0 ? 4 : 8);
  const bytes = Buffer.allocUnsafe(framesAt + size);
  bytes[0] = VERSION;
  bytes[1] = excludes === 0 ? 0 : FLAG_EXCLUDES;
  bytes.writeUInt16BE(count, 2);
  bytes.fill(0, AT_FIRST, AT_ORIGIN);
  writeAscii(bytes, origin, AT_ORIGIN);
  writeUint64(bytes, sentAtMs, AT_SENT);
  bytes.writeUInt16BE(drafts[0]!.offsetAt, AT_OFFSET_AT);
  let at = framesAt;
  for (let i = 0; i < count; i++) {
    const { frame, exclude } = drafts[i]!;
    bytes.writeUInt32BE(frame.length, AT_TABLE + i * 4);
    if (excludes !== 0) bytes.writeUInt32BE(exclude, AT_TABLE + (count + i) * 4);
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

/**
 * Fills in what the draft lacks, in place: the memory backplane's half of what `publish.lua` does in Redis. A room
 * without history has epoch '' and first 0, and every frame of it keeps offset 0.
 */
export function finishEnvelope(draft: Buffer, epoch: string, first: number): Envelope {
  writeUint64(draft, first, AT_FIRST);
  writeAscii(draft, epoch, AT_EPOCH);
  const envelope = Envelope.parse(draft);
  if (envelope === null) throw new Error('a draft envelope is malformed');
  if (first !== 0) fillOffsets(envelope.frames, envelope, draft.readUInt16BE(AT_OFFSET_AT));
  return envelope;
}

/**
 * Writes into the sixteen bytes that `publish.lua` fills in what it has to know about the batch: how many messages of
 * the room to keep (0: a room without history), for how long, and how many of the frames have an idempotency key.
 * The script overwrites it all. It saves an argument, and a copy of the draft, for every room of every call.
 */
export function writeTicket(draft: Buffer, messages: number, ageMs: number, keyed: number): void {
  draft.writeUInt32BE(Math.min(messages, 0xffff_ffff), AT_FIRST);
  draft.writeUInt32BE(Math.min(ageMs, 0xffff_ffff), AT_FIRST + 4);
  draft.writeUInt16BE(keyed, AT_EPOCH);
}

function fillOffsets(frames: ByteView, envelope: Envelope, offsetAt: number): void {
  let at = 0;
  for (let i = 0; i < envelope.count; i++) {
    writeUint64(frames, envelope.first + i, at + offsetAt + 1);
    at += envelope.frameLength(i);
  }
}
