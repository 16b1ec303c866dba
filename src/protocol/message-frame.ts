/**
 * The `message` frame, and the `signal` frame of what is not stored, encoded once on the node that accepts a publish. Its offset is not known yet: nine
 * bytes are reserved for it, which the backplane fills in. From there to the subscriber's client nothing
 * decodes it.
 */
import { writeUint64 } from '../util/bytes.ts';
import { cutFromBlock } from './block.ts';
import { codecCalls } from './calls.ts';
import { FrameError } from './frame-error.ts';
import type { MessageFrame, PackedValue, SignalFrame } from './frames.ts';
import { MAX_DEPTH, utf8Length } from './limits.ts';
import { scanProblem, scanValue } from './msgpack/scanner.ts';
import { writeUtf8 } from './msgpack/utf8.ts';
import { unpackAll } from './msgpack/values.ts';
import { checkServerFrame } from './server-frames.ts';

export interface BuiltMessage {
  /** The whole frame; only its offset is still zero. */
  readonly frame: Uint8Array;
  /** Index of the 0xcf byte of the offset: the same for all `message` frames of a room. 0 in a `signal`, which has none. */
  readonly offsetAt: number;
}

// An array of six, and 'message'.
const HEAD = Uint8Array.of(0x96, 0xa7, 0x6d, 0x65, 0x73, 0x73, 0x61, 0x67, 0x65);
// An array of five, and 'signal'.
const SIGNAL_HEAD = Uint8Array.of(0x95, 0xa6, 0x73, 0x69, 0x67, 0x6e, 0x61, 0x6c);
const UINT64 = 0xcf;
const NIL = 0xc0;

/**
 * `["message", room, offset, time, sender, data]` without its offset. `data` must be one valid MessagePack
 * value and is copied. `timeMs`: milliseconds since the Unix epoch, a non-negative integer.
 */
export function buildMessageFrame(
  room: string,
  timeMs: number,
  sender: string | null,
  data: PackedValue,
): BuiltMessage {
  return build(HEAD, 9, room, timeMs, sender, data);
}

/** `["signal", room, time, sender, data]`, otherwise as `buildMessageFrame`. */
export function buildSignalFrame(
  room: string,
  timeMs: number,
  sender: string | null,
  data: PackedValue,
): BuiltMessage {
  return build(SIGNAL_HEAD, 0, room, timeMs, sender, data);
}

/** `offsetBytes`: of the offset between room and time, 0 where the frame has none. */
function build(
  head: Uint8Array,
  offsetBytes: 0 | 9,
  room: string,
  timeMs: number,
  sender: string | null,
  data: PackedValue,
): BuiltMessage {
  codecCalls.buildMessage++;
  const roomBytes = utf8Length(room);
  const senderBytes = sender === null ? -1 : utf8Length(sender);
  const offsetAt = head.length + textSize(roomBytes);
  const timeAt = offsetAt + offsetBytes;
  const senderAt = timeAt + 9;
  const dataAt = senderAt + textSize(senderBytes);
  const frame = cutFromBlock(dataAt + data.length);
  for (let i = 0; i < head.length; i++) frame[i] = head[i]!;
  writeText(frame, room, roomBytes, head.length);
  if (offsetBytes > 0) {
    frame[offsetAt] = UINT64;
    writeUint64(frame, 0, offsetAt + 1);
  }
  frame[timeAt] = UINT64;
  writeUint64(frame, timeMs, timeAt + 1);
  if (sender === null) frame[senderAt] = NIL;
  else writeText(frame, sender, senderBytes, senderAt);
  frame.set(data, dataAt);
  return { frame, offsetAt: offsetBytes > 0 ? offsetAt : 0 };
}

/** Bytes of a MessagePack string of this many bytes of UTF-8; of nil for -1. */
function textSize(bytes: number): number {
  if (bytes < 0x20) return Math.max(bytes, 0) + 1;
  if (bytes < 0x100) return bytes + 2;
  return bytes < 0x1_0000 ? bytes + 3 : bytes + 5;
}

function writeText(frame: Uint8Array, text: string, bytes: number, at: number): void {
  if (bytes < 0x20) frame[at++] = 0xa0 | bytes;
  else if (bytes < 0x100) {
    frame[at++] = 0xd9;
    frame[at++] = bytes;
  } else {
    const wide = bytes >= 0x1_0000;
    frame[at++] = wide ? 0xdb : 0xda;
    if (wide) frame[at++] = bytes >>> 24;
    if (wide) frame[at++] = bytes >>> 16;
    frame[at++] = bytes >>> 8;
    frame[at++] = bytes;
  }
  writeUtf8(frame, text, at);
}

/** Fills in the offset of a built frame, in place. */
export function setFrameOffset(frame: Uint8Array, offsetAt: number, offset: number): void {
  writeUint64(frame, offset, offsetAt + 1);
}

/**
 * Splits a run of frames into views of each.
 *
 * @throws {FrameError} for bytes that are not whole frames in sequence.
 */
export function splitFrames(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = scanValue(bytes, at, bytes.length, MAX_DEPTH);
    if (end < 0) throw new FrameError(scanProblem(end));
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

/** What envelopes carry. */
export type RunFrame = MessageFrame | SignalFrame;

/**
 * A run of `message` and `signal` frames as values.
 *
 * @throws {FrameError} for bytes that are anything else.
 */
export function decodeRun(bytes: Uint8Array): RunFrame[] {
  codecCalls.decodeMessage++;
  return unpackAll(bytes, MAX_DEPTH).map((value) => {
    const frame = checkServerFrame(value);
    if (frame[0] === 'message' || frame[0] === 'signal') return frame;
    throw new FrameError(`a "${frame[0]}" frame among messages`);
  });
}

/**
 * A run of `message` frames as values.
 *
 * @throws {FrameError} for bytes that are anything else.
 */
export function decodeMessageFrames(bytes: Uint8Array): MessageFrame[] {
  return decodeRun(bytes).map((frame) => {
    if (frame[0] === 'message') return frame;
    throw new FrameError(`a "${frame[0]}" frame among stored messages`);
  });
}
