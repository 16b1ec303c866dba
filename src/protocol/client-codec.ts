/** The client's side of both encodings: commands out, replies and pushes in. */
import { FrameError } from './frame-error.ts';
import type { CommandFrame, ServerFrame } from './frames.ts';
import { toJsonText } from './json/text.ts';
import { MAX_DEPTH } from './limits.ts';
import { SERVER_LEVELS } from './msgpack/codec.ts';
import { packed, unpackAll, writeValue } from './msgpack/values.ts';
import { checkServerFrame } from './server-frames.ts';
import type { Encoding } from './subprotocol.ts';

/**
 * One command as a WebSocket message: binary for bytes, text for a string.
 *
 * @throws {PackError} for values nested too deeply or circular, and BigInts beyond 53 bits. In JSON a
 * circular value is a TypeError, and the node checks the depth.
 */
export function encodeCommand(frame: CommandFrame, encoding: Encoding): Uint8Array | string {
  if (encoding === 'json') return toJsonText(frame);
  return packed((writer) => writeValue(writer, frame, MAX_DEPTH));
}

/**
 * All frames of one WebSocket message, in order: bytes are MessagePack, a string is JSON. Frames of a type
 * that this version does not know are included; skip them. Byte arrays in a payload may be views of
 * `message`.
 *
 * @throws {FrameError} for anything that is not frames of this protocol.
 */
export function decodeServerFrames(message: Uint8Array | ArrayBuffer | string): ServerFrame[] {
  if (typeof message === 'string') return decodeLines(message);
  const bytes = message instanceof Uint8Array ? message : new Uint8Array(message);
  return unpackAll(bytes, SERVER_LEVELS).map(checkServerFrame);
}

function decodeLines(message: string): ServerFrame[] {
  const lines = message.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => checkServerFrame(parse(line)));
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new FrameError('a line is not JSON', { cause });
  }
}
