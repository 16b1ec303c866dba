/** The node's side of `roomcast.v1.json`: one frame a line. */
import { codecCalls } from '../calls.ts';
import { buildCommand, EMPTY_FRAME, idOrZero, NOT_AN_ARRAY, rejected, undecodable } from '../commands.ts';
import type { Command, DecodedCommand, MessageFrame, RejectedCommand, ServerFrame } from '../frames.ts';
import { MAX_DEPTH } from '../limits.ts';
import { decodeMessageFrames } from '../message-frame.ts';
import { packValue } from '../msgpack/values.ts';
import { toJsonText } from './text.ts';

/**
 * All commands of one WebSocket message. Blank lines are passed over; a line that is not JSON cannot be decoded and
 * ends the list. The `data` of a publish comes packed. Never throws.
 */
export function decodeCommands(text: string): DecodedCommand[] {
  codecCalls.decodeCommands++;
  const commands: DecodedCommand[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const frame = parseLine(line);
    if (frame === INVALID) {
      commands.push(undecodable('a line is not JSON'));
      break;
    }
    commands.push(readFrame(frame));
  }
  return commands;
}

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
  if (type !== 'publish') return buildCommand(type, id, target, null, fourth);
  return buildCommand(type, id, target, frame.length > 3 ? packValue(fourth) : null, fifth);
}

/** Whether a value has more than so many levels of arrays and objects. Goes no deeper than that itself. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (isDeeper(inner, levels - 1)) return true;
  }
  return false;
}

/** One frame as one line, without its end. */
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
 * @throws {FrameError} where they are anything else.
 */
export function encodeHistoryOk(id: number, epoch: string, offset: number, frames: Uint8Array): string {
  return `["ok",${id},${encodeHistory(epoch, offset, frames)}]`;
}

/**
 * The same without the frame around it, as the HTTP API answers.
 *
 * @throws {FrameError} where the frames are anything else than `message` frames.
 */
export function encodeHistory(epoch: string, offset: number, frames: Uint8Array): string {
  codecCalls.encode++;
  const head = JSON.stringify({ epoch, offset }).slice(0, -1);
  return `${head},"messages":[${messageTexts(frames).join(',')}]}`;
}

/**
 * A run of `message` frames in MessagePack as lines of JSON: once for all JSON connections of a room.
 *
 * @throws {FrameError} for bytes that are anything else.
 */
export function transcodeMessages(frames: Uint8Array): string {
  codecCalls.transcode++;
  return messageTexts(frames).join('\n');
}

function messageTexts(frames: Uint8Array): string[] {
  const messages = decodeMessageFrames(frames);
  // Without a replacer `JSON.stringify` is several times faster, and only bytes need one.
  const text: (frame: MessageFrame) => string = mayHoldBytes(frames)
    ? toJsonText
    : (frame) => JSON.stringify(frame);
  return messages.map(text);
}

/** False where no byte could begin a bin value. Text outside of ASCII may look like one: that costs time only. */
function mayHoldBytes(frames: Uint8Array): boolean {
  for (let i = 0; i < frames.length; i++) {
    const byte = frames[i]!;
    if (byte >= 0xc4 && byte <= 0xc6) return true;
  }
  return false;
}
