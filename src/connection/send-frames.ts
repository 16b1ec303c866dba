import type { ServerCodec } from '../protocol/codec.ts';
import type { Socket } from './socket.ts';

type Frame = Uint8Array | string;

/** Frames of one flush are joined into WebSocket messages of about this many bytes. */
const JOINED_BYTES = 16 * 1024;

/** Sends frames, joined into few WebSocket messages. Returns those that the socket did not take, null if it took all. */
export function sendFrames(
  socket: Socket,
  codec: ServerCodec,
  frames: readonly Frame[],
): readonly Frame[] | null {
  // The usual case: one reply.
  if (frames.length === 1) return socket.send(frames[0]!) === 'dropped' ? frames : null;
  for (let from = 0; from < frames.length; ) {
    let to = from;
    let bytes = 0;
    do bytes += frames[to++]!.length;
    while (to < frames.length && bytes + frames[to]!.length <= JOINED_BYTES);
    if (socket.send(codec.join(frames.slice(from, to))) === 'dropped') return frames.slice(from);
    from = to;
  }
  return null;
}

/** A frame with its own bytes: one cut from a block or a slab would keep all of it alive. */
export function toKeep(frame: Frame): Frame {
  if (typeof frame === 'string' || frame.buffer.byteLength === frame.byteLength) return frame;
  return new Uint8Array(frame);
}
