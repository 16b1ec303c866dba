/** The node's side of `roomcast.v1.json`: one frame per line. */
import { codecCalls } from '../calls.ts';
import { buildCommand, EMPTY_FRAME, idOrZero, NOT_AN_ARRAY, rejected, undecodable } from '../commands.ts';
import type {
  Command,
  CommandReader,
  DecodedCommand,
  PackedValue,
  RejectedCommand,
  ServerFrame,
  Undecodable,
} from '../frames.ts';
import { MAX_DEPTH } from '../limits.ts';
import { decodeMessageFrames, decodeRun, type RunFrame } from '../message-frame.ts';
import { packValue } from '../msgpack/values.ts';
import { toJsonText } from './text.ts';

/**
 * The commands of one WebSocket message. Blank lines are skipped; a line that is not JSON is undecodable and
 * ends the message. The `data` of a publish is returned packed.
 */
export class JsonReader implements CommandReader {
  readonly #text: string;
  #at = 0;
  /** Why the text could not be read at all. */
  #trouble: Undecodable | null;

  constructor(text: string, trouble: Undecodable | null = null) {
    codecCalls.decodeCommands++;
    this.#text = text;
    this.#trouble = trouble;
  }

  next(): DecodedCommand | null {
    if (this.#trouble !== null) return this.#end(this.#trouble);
    const line = this.#nextLine();
    if (line === null) return null;
    const frame = parseLine(line);
    return frame === INVALID ? this.#end(undecodable('a line is not JSON')) : readFrame(frame);
  }

  /** Its text is a copy. */
  keep(): number {
    return this.#trouble === null ? this.#text.length - this.#at : 1;
  }

  /** The next line that is not blank. A message of only line ends costs one search, not a string for each. */
  #nextLine(): string | null {
    const text = this.#text;
    let from = this.#at;
    if (from >= text.length) return null;
    if (text.charCodeAt(from) <= 0x20 || text.charCodeAt(from) >= 0x7f) {
      NOT_BLANK.lastIndex = from;
      if (!NOT_BLANK.test(text)) {
        this.#at = text.length;
        return null;
      }
      from = Math.max(from, text.lastIndexOf('\n', NOT_BLANK.lastIndex - 1) + 1);
    }
    const end = text.indexOf('\n', from);
    this.#at = end === -1 ? text.length : end + 1;
    return end === -1 && from === 0 ? text : text.slice(from, end === -1 ? text.length : end);
  }

  #end(undecodable: Undecodable): Undecodable {
    this.#trouble = null;
    this.#at = this.#text.length;
    return undecodable;
  }
}

/** What `trim` counts as blank, which is more than JSON does. */
const NOT_BLANK = /\S/g;

const INVALID = Symbol('not JSON');

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return INVALID;
  }
}

function readFrame(frame: unknown): Command | RejectedCommand {
  if (!Array.isArray(frame)) return NOT_AN_ARRAY;
  if (frame.length === 0) return EMPTY_FRAME;
  const [type, id, target, fourth, fifth] = frame as unknown[];
  if (isDeeper(frame, MAX_DEPTH)) {
    return rejected(idOrZero(id), 'bad_frame', 'arrays and maps are nested too deeply');
  }
  const value = frame.length > 3 ? fourth : undefined;
  if (type === 'publish') return buildCommand(type, id, target, packedOrNone(value), fifth);
  if (type === 'presence') return buildCommand(type, id, target, packedOrNone(value), null);
  return buildCommand(type, id, target, null, type === 'join' ? withDataPacked(fourth) : fourth);
}

/** JSON has no `undefined`. */
function packedOrNone(value: unknown): PackedValue | null {
  return value === undefined ? null : packValue(value);
}

/** The options of a join. A value that is no map stays as it is, to be refused. */
function withDataPacked(options: unknown): unknown {
  if (typeof options !== 'object' || options === null || !('data' in options)) return options;
  return Array.isArray(options) ? options : { ...options, data: packValue(options.data) };
}

/** Whether a value nests arrays and objects more than `levels` deep. Recurses no deeper than that itself. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (isDeeper(inner, levels - 1)) return true;
  }
  return false;
}

/** One frame as one line, without the line end. */
export function encodeFrame(frame: ServerFrame): string {
  codecCalls.encode++;
  return toJsonText(frame);
}

export function encodePublishOk(id: number, epoch: string, offset: number, duplicate: boolean): string {
  return encodeFrame(['ok', id, duplicate ? { epoch, offset, duplicate } : { epoch, offset }]);
}

/**
 * The reply to a history request. `frames`: a run of stored `message` frames in MessagePack.
 *
 * @throws {FrameError} if they are anything else.
 */
export function encodeHistoryOk(id: number, epoch: string, offset: number, frames: Uint8Array): string {
  return `["ok",${id},${encodeHistory(epoch, offset, frames)}]`;
}

/**
 * The same without the frame around it, as the HTTP API answers it.
 *
 * @throws {FrameError} if the frames are not `message` frames.
 */
export function encodeHistory(epoch: string, offset: number, frames: Uint8Array): string {
  codecCalls.encode++;
  const head = JSON.stringify({ epoch, offset }).slice(0, -1);
  return `${head},"messages":[${messageTexts(frames).join(',')}]}`;
}

/**
 * A run of `message` and `signal` frames in MessagePack as lines of JSON: once for all JSON connections of a room.
 *
 * @throws {FrameError} for bytes that are anything else.
 */
export function transcodeMessages(frames: Uint8Array): string {
  codecCalls.transcode++;
  return textsOf(decodeRun(frames), frames).join('\n');
}

function messageTexts(frames: Uint8Array): string[] {
  return textsOf(decodeMessageFrames(frames), frames);
}

/** `bytes`: what they were decoded from. */
function textsOf(frames: readonly RunFrame[], bytes: Uint8Array): string[] {
  // Without a replacer `JSON.stringify` is several times faster, and only bytes need one.
  const text: (frame: RunFrame) => string = mayHoldBytes(bytes)
    ? toJsonText
    : (frame) => JSON.stringify(frame);
  return frames.map(text);
}

/** False if no byte can start a bin value. Text beyond ASCII may look like one: that only costs time. */
export function mayHoldBytes(frames: Uint8Array): boolean {
  for (let i = 0; i < frames.length; i++) {
    const byte = frames[i]!;
    if (byte >= 0xc4 && byte <= 0xc6) return true;
  }
  return false;
}
