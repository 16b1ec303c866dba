/**
 * The node's side of both encodings behind one interface, so that nothing else on a node needs to know which
 * one a connection uses. Stateless: one instance of each serves every connection.
 */
import { concatBytes } from '../util/bytes.ts';
import { BINARY_FOR_JSON, TEXT_FOR_MSGPACK, undecodable } from './commands.ts';
import type { CommandReader, DecodedCommand, RejectedCommand, ServerFrame } from './frames.ts';
import * as json from './json/codec.ts';
import * as msgpack from './msgpack/codec.ts';
import type { Encoding, ReaderEncoding } from './subprotocol.ts';

/**
 * One or more encoded frames, ready to send as a binary (bytes) or text (string) WebSocket message. Events are
 * bytes too.
 */
export type EncodedFrames = Uint8Array | string;

export interface ServerCodec {
  readonly encoding: ReaderEncoding;
  /**
   * The commands of one WebSocket message, given as bytes for text messages too. Never throws. The `data` of
   * a publish may be a view of `message`, which must not change until the last command is read.
   */
  readCommands(message: Uint8Array): CommandReader;
  /** The same as a list: decodes everything, however much it is. */
  decodeCommands(message: Uint8Array): DecodedCommand[];
  /** The result for a WebSocket message of the other kind, text or binary, which is not read. */
  readonly otherKind: RejectedCommand;
  /**
   * `epoch`: of the room's numbering, for an encoding that says positions beside frames.
   *
   * @throws {PackError} for values that cannot be sent: a fault of the caller, never of a peer.
   */
  encode(frame: ServerFrame, epoch?: string): EncodedFrames;
  /** The same as `encode` of the reply, faster. */
  encodePublishOk(id: number, epoch: string, offset: number, duplicate: boolean): EncodedFrames;
  /**
   * The reply to a history request, from a run of stored `message` frames in MessagePack.
   *
   * @throws {FrameError} if they are anything else.
   */
  encodeHistoryOk(id: number, epoch: string, offset: number, frames: Uint8Array): EncodedFrames;
  /** The content of that reply, without the frame around it. @throws {FrameError} likewise. */
  encodeHistory(epoch: string, offset: number, frames: Uint8Array): EncodedFrames;
  /**
   * A run of stored `message` frames in MessagePack as this encoding sends them: for MessagePack the same
   * bytes. `epoch`: of their offsets.
   *
   * @throws {FrameError} in the JSON codec, if they are anything else.
   */
  messages(frames: Uint8Array, epoch?: string): EncodedFrames;
  /** Frames that this codec encoded, as one WebSocket message. */
  join(parts: readonly EncodedFrames[]): EncodedFrames;
}

export const msgpackCodec: ServerCodec = {
  encoding: 'msgpack',
  readCommands: (message) => new msgpack.MessagePackReader(message),
  decodeCommands: (message) => listOf(new msgpack.MessagePackReader(message)),
  otherKind: TEXT_FOR_MSGPACK,
  encode: msgpack.encodeFrame,
  encodePublishOk: msgpack.encodePublishOk,
  encodeHistoryOk: msgpack.encodeHistoryOk,
  encodeHistory: msgpack.encodeHistory,
  messages: (frames) => frames,
  join: (parts) => concatBytes(parts as readonly Uint8Array[]),
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

export const jsonCodec: ServerCodec = {
  encoding: 'json',
  readCommands: readText,
  decodeCommands: (message) => listOf(readText(message)),
  otherKind: BINARY_FOR_JSON,
  encode: json.encodeFrame,
  encodePublishOk: json.encodePublishOk,
  encodeHistoryOk: json.encodeHistoryOk,
  encodeHistory: json.encodeHistory,
  messages: json.transcodeMessages,
  join: (parts) => parts.join('\n'),
};

function readText(message: Uint8Array): CommandReader {
  try {
    return new json.JsonReader(utf8.decode(message));
  } catch {
    return new json.JsonReader('', undecodable('the text is not valid UTF-8'));
  }
}

function listOf(reader: CommandReader): DecodedCommand[] {
  const commands: DecodedCommand[] = [];
  for (let command = reader.next(); command !== null; command = reader.next()) commands.push(command);
  return commands;
}

export function serverCodec(encoding: Encoding): ServerCodec {
  return encoding === 'json' ? jsonCodec : msgpackCodec;
}
