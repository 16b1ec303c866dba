/**
 * The node's side of Server-Sent Events: frames as events for readers that send nothing. The event's name is the
 * frame's type, its data the frame as JSON, and its id, where it has one, the position that the reader has
 * reached with it.
 */
import { concatBytes } from '../../util/bytes.ts';
import { codecCalls } from '../calls.ts';
import type { ServerCodec } from '../codec.ts';
import type { CloseReason } from '../codes.ts';
import { rejected } from '../commands.ts';
import type { CommandReader, JoinResult, ServerFrame } from '../frames.ts';
import { encodeHistory, encodeHistoryOk, mayHoldBytes } from '../json/codec.ts';
import { toJsonText } from '../json/text.ts';
import { decodeRun } from '../message-frame.ts';

const encoder = new TextEncoder();

/** What keeps a quiet stream alive: a comment, which readers ignore. */
export const HEARTBEAT = utf8(':\n\n');

/** Told with `bye`, no shorter: a reader whose next attempt fails waits as long again. */
const MIN_RETRY_MS = 100;

const NOTHING: CommandReader = { next: () => null, keep: () => 0 };

export const sseCodec: ServerCodec = {
  encoding: 'sse',
  readCommands: () => NOTHING,
  decodeCommands: () => [],
  otherKind: rejected(0, 'bad_frame', 'an event stream takes no commands'),
  encode: (frame, epoch = '') => {
    codecCalls.encode++;
    return utf8(eventText(frame, toJsonText(frame), epoch));
  },
  encodePublishOk: (id, epoch, offset, duplicate) =>
    sseCodec.encode(['ok', id, duplicate ? { epoch, offset, duplicate } : { epoch, offset }]),
  encodeHistoryOk,
  encodeHistory,
  messages: transcodeEvents,
  join: (parts) => concatBytes(parts as readonly Uint8Array[]),
};

/**
 * The first event of a room. `id`: where the reader stands before the first message that follows, null where it
 * has no position or keeps its own. `retryMs`: how long it is to wait before it comes back after a cut.
 */
export function encodeJoined(
  room: string,
  result: JoinResult,
  id: readonly [epoch: string, offset: number] | null,
  retryMs: number,
): Uint8Array {
  const position = id === null ? '' : idLine(id[0], id[1]);
  return utf8(`retry: ${retryMs}\n${position}${event('joined', toJsonText(['joined', room, result]))}`);
}

/** The last event: what the close code and its reason are to a WebSocket. */
export function encodeClose({ code, reason }: CloseReason): Uint8Array {
  return utf8(event('close', toJsonText(['close', code, reason])));
}

/**
 * A run of `message` and `signal` frames in MessagePack as events: once for all event streams of a room.
 *
 * @throws {FrameError} for bytes that are anything else.
 */
export function transcodeEvents(frames: Uint8Array, epoch = ''): Uint8Array {
  codecCalls.transcode++;
  // Without a replacer `JSON.stringify` is several times faster, and only bytes need one.
  const text: (frame: ServerFrame) => string = mayHoldBytes(frames) ? toJsonText : JSON.stringify;
  let events = '';
  for (const frame of decodeRun(frames)) events += eventText(frame, text(frame), epoch);
  return utf8(events);
}

/** JSON has no line ends, so the data is one line. */
function eventText(frame: ServerFrame, json: string, epoch: string): string {
  switch (frame[0]) {
    case 'message':
      // The name is left out: an event without one is a `message`.
      return `${frame[2] === 0 ? '' : idLine(epoch, frame[2])}data: ${json}\n\n`;
    case 'gap':
      return idLine(epoch, frame[3]) + event('gap', json);
    case 'reset':
      return idLine(frame[2], frame[3]) + event('reset', json);
    case 'bye':
      return `retry: ${Math.max(MIN_RETRY_MS, frame[2].reconnectAfterMs)}\n${event('bye', json)}`;
    default:
      return event(frame[0], json);
  }
}

function idLine(epoch: string, offset: number): string {
  return epoch === '' ? '' : `id: ${epoch},${offset}\n`;
}

function event(name: string, json: string): string {
  return `event: ${name}\ndata: ${json}\n\n`;
}

function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}
