/** The node's side of `roomcast.v1.msgpack`: commands in, replies and pushes out. */
import { codecCalls } from '../calls.ts';
import {
  buildCommand,
  EMPTY_FRAME,
  idOrZero,
  NOT_AN_ARRAY,
  type RawOptions,
  rejected,
  undecodable,
} from '../commands.ts';
import type {
  Command,
  CommandReader,
  DecodedCommand,
  HistoryResult,
  MessageFrame,
  RejectedCommand,
  Result,
  ServerFrame,
  SignalFrame,
} from '../frames.ts';
import { MAX_DEPTH } from '../limits.ts';
import { splitFrames } from '../message-frame.ts';
import { arrayCount, elementsAt, mapCount, readScalar } from './reader.ts';
import { isUndecodable, scanProblem, scanValue, skipValue } from './scanner.ts';
import { packed, writeValue } from './values.ts';
import { Writer } from './writer.ts';

/** Maximum nesting of a frame from a node: the reply to a `join` wraps the data of members four levels deeper than it came. */
export const SERVER_LEVELS = MAX_DEPTH + 4;

// Where the first elements of the current frame start. One array for all: decoding never yields and never
// calls back.
const FIELDS = 5;
const starts = new Uint32Array(FIELDS);
/** Its writes call no user code, so it is always idle. */
const okWriter = new Writer();

/**
 * The commands of one WebSocket message. The `data` of a publish is a view of the bytes, checked but not
 * decoded.
 */
export class MessagePackReader implements CommandReader {
  #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    codecCalls.decodeCommands++;
    this.#bytes = bytes;
  }

  keep(): number {
    // Copied explicitly: the `slice` of a Buffer does not copy.
    this.#bytes = new Uint8Array(this.#bytes.subarray(this.#at));
    this.#at = 0;
    return this.#bytes.length;
  }

  next(): DecodedCommand | null {
    const bytes = this.#bytes;
    const at = this.#at;
    if (at >= bytes.length) return null;
    const end = scanFrame(bytes, at);
    if (end < 0) return this.#refuse(at, end);
    this.#at = end;
    return readFrame(bytes, at, end);
  }

  /** Skips a frame that the scan refused, or ends the message if that is not possible. */
  #refuse(at: number, problem: number): DecodedCommand {
    const bytes = this.#bytes;
    const end = isUndecodable(problem) ? problem : skipValue(bytes, at, bytes.length);
    this.#at = end < 0 ? bytes.length : end;
    if (end < 0) return undecodable(scanProblem(end));
    return rejected(refusedId(bytes, at), 'bad_frame', scanProblem(problem));
  }
}

/** Where the frame ends, or a problem; records where its elements start. */
function scanFrame(bytes: Uint8Array, at: number): number {
  const count = arrayCount(bytes, at, bytes.length);
  if (count < 0) return scanValue(bytes, at, bytes.length, MAX_DEPTH);
  let next = elementsAt(bytes, at);
  for (let i = 0; i < count; i++) {
    if (i < FIELDS) starts[i] = next;
    next = scanValue(bytes, next, bytes.length, MAX_DEPTH - 1);
    if (next < 0) return next;
  }
  return next;
}

function readFrame(bytes: Uint8Array, at: number, end: number): Command | RejectedCommand {
  const count = arrayCount(bytes, at, end);
  if (count < 0) return NOT_AN_ARRAY;
  if (count === 0) return EMPTY_FRAME;
  const type = readScalar(bytes, starts[0]!);
  const id = count > 1 ? readScalar(bytes, starts[1]!) : undefined;
  const target = count > 2 ? readScalar(bytes, starts[2]!) : undefined;
  if (type === 'publish') {
    const data = count > 3 ? bytes.subarray(starts[3]!, count > 4 ? starts[4]! : end) : null;
    return buildCommand(type, id, target, data, count > 4 ? readOptions(bytes, starts[4]!) : null);
  }
  if (count <= 3) return buildCommand(type, id, target, null, null);
  if (type === 'presence') {
    return buildCommand(type, id, target, bytes.subarray(starts[3]!, count > 4 ? starts[4]! : end), null);
  }
  const fourth = type === 'ack' ? readPosition(bytes, starts[3]!) : readOptions(bytes, starts[3]!);
  return buildCommand(type, id, target, null, fourth);
}

/** The known options; null for nil; a value that is not a map for anything else. */
function readOptions(bytes: Uint8Array, at: number): unknown {
  if (bytes[at] === 0xc0) return null;
  const count = mapCount(bytes, at);
  if (count < 0) return 'not a map';
  const options: { -readonly [name in keyof RawOptions]: unknown } = {};
  let next = elementsAt(bytes, at);
  for (let i = 0; i < count; i++) {
    const name = readScalar(bytes, next);
    const valueAt = scanValue(bytes, next, bytes.length, MAX_DEPTH);
    next = scanValue(bytes, valueAt, bytes.length, MAX_DEPTH);
    if (name === 'since') options.since = readPosition(bytes, valueAt);
    else if (name === 'data') options.data = bytes.subarray(valueAt, next);
    else if (isScalarOption(name)) options[name] = readOption(bytes, valueAt);
  }
  return options;
}

type ScalarOption = Exclude<keyof RawOptions, 'since' | 'data'>;

const SCALAR_OPTIONS: readonly ScalarOption[] = [
  ...(['key', 'echo', 'ephemeral', 'conflateKey', 'limit', 'resume', 'last', 'members', 'after'] as const),
];

function isScalarOption(name: unknown): name is ScalarOption {
  return SCALAR_OPTIONS.includes(name as ScalarOption);
}

/** A scalar; for an array, a map, bytes or a timestamp, a value that no option can have. */
function readOption(bytes: Uint8Array, at: number): unknown {
  const value = readScalar(bytes, at);
  return value === undefined ? [] : value;
}

function readPosition(bytes: Uint8Array, at: number): unknown {
  if (arrayCount(bytes, at, bytes.length) !== 2) return readOption(bytes, at);
  const epochAt = elementsAt(bytes, at);
  const offsetAt = scanValue(bytes, epochAt, bytes.length, MAX_DEPTH);
  return [readScalar(bytes, epochAt), readScalar(bytes, offsetAt)];
}

/** The id of a frame refused for its content: it comes before the fault if it is readable. */
function refusedId(bytes: Uint8Array, at: number): number {
  if (arrayCount(bytes, at, bytes.length) < 2) return 0;
  const idAt = scanValue(bytes, elementsAt(bytes, at), bytes.length, MAX_DEPTH);
  if (idAt < 0 || scanValue(bytes, idAt, bytes.length, MAX_DEPTH) < 0) return 0;
  return idOrZero(readScalar(bytes, idAt));
}

/**
 * One frame. Integers are never floats, however large; `offset` and `time` of a `message` or `signal` always
 * take nine bytes.
 *
 * @throws {PackError} for values that cannot be sent, such as circular ones.
 */
export function encodeFrame(frame: ServerFrame): Uint8Array {
  codecCalls.encode++;
  return packed((writer) => {
    if (frame[0] === 'message') writeMessage(writer, frame);
    else if (frame[0] === 'signal') writeSignal(writer, frame);
    else if (frame[0] === 'ok' && isHistory(frame[2])) writeHistoryOk(writer, frame[1], frame[2]);
    else writeValue(writer, frame, SERVER_LEVELS);
  });
}

function writeMessage(writer: Writer, [type, room, offset, time, sender, data]: MessageFrame): void {
  writer.arrayHeader(6);
  writer.string(type);
  writer.string(room);
  writer.uint64(offset);
  writer.uint64(time);
  writeValue(writer, sender, 0);
  writeValue(writer, data, MAX_DEPTH - 1);
}

function writeSignal(writer: Writer, [type, room, time, sender, data]: SignalFrame): void {
  writer.arrayHeader(5);
  writer.string(type);
  writer.string(room);
  writer.uint64(time);
  writeValue(writer, sender, 0);
  writeValue(writer, data, MAX_DEPTH - 1);
}

function isHistory(result: Result): result is HistoryResult {
  return 'messages' in result;
}

function writeHistoryOk(writer: Writer, id: number, { epoch, offset, messages }: HistoryResult): void {
  writeOkHead(writer, id, 3, epoch, offset);
  writer.string('messages');
  writer.arrayHeader(messages.length);
  for (const message of messages) writeMessage(writer, message);
}

/**
 * The reply to a publish, the most frequent frame that a node encodes. Do not keep it: see `cutFromBlock`.
 */
export function encodePublishOk(id: number, epoch: string, offset: number, duplicate: boolean): Uint8Array {
  codecCalls.encode++;
  okWriter.reset();
  writeOkHead(okWriter, id, duplicate ? 3 : 2, epoch, offset);
  if (duplicate) {
    okWriter.string('duplicate');
    okWriter.boolean(true);
  }
  return okWriter.cut();
}

/**
 * The reply to a history request. `frames`: a run of stored `message` frames, which are copied unchanged.
 *
 * @throws {FrameError} if they are not whole frames.
 */
export function encodeHistoryOk(id: number, epoch: string, offset: number, frames: Uint8Array): Uint8Array {
  codecCalls.encode++;
  const count = splitFrames(frames).length;
  return packed((writer) => {
    writeOkHead(writer, id, 3, epoch, offset);
    writeRun(writer, count, frames);
  });
}

/**
 * The same without the frame around it, as the HTTP API answers it.
 *
 * @throws {FrameError} if the frames are not whole.
 */
export function encodeHistory(epoch: string, offset: number, frames: Uint8Array): Uint8Array {
  codecCalls.encode++;
  const count = splitFrames(frames).length;
  return packed((writer) => {
    writePosition(writer, 3, epoch, offset);
    writeRun(writer, count, frames);
  });
}

function writeRun(writer: Writer, count: number, frames: Uint8Array): void {
  writer.string('messages');
  writer.arrayHeader(count);
  writer.raw(frames);
}

function writeOkHead(writer: Writer, id: number, fields: number, epoch: string, offset: number): void {
  writer.arrayHeader(3);
  writer.string('ok');
  writer.number(id);
  writePosition(writer, fields, epoch, offset);
}

function writePosition(writer: Writer, fields: number, epoch: string, offset: number): void {
  writer.mapHeader(fields);
  writer.string('epoch');
  writer.string(epoch);
  writer.string('offset');
  writer.number(offset);
}
