import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { ServerCodec } from '../protocol/codec.ts';
import { CLOSE, type CloseReason } from '../protocol/codes.ts';
import type { FlushQueue } from './flush-queue.ts';
import { sendFrames, toKeep } from './send-frames.ts';
import type { Socket } from './socket.ts';

/** Which of the turn's lanes it waits in; see `FlushQueue`. */
type Lane = 'none' | 'rest' | 'first';

/** The connection whose frames they are. */
export interface Sender {
  readonly isOpen: boolean;
  readonly socket: Socket;
  readonly codec: ServerCodec;
  readonly context: {
    readonly flushQueue: FlushQueue;
    readonly maxUnsentBytes: number;
    readonly metrics: NodeMetrics;
  };
  /** Frames wait because its peer does not read. */
  stalled(): void;
  close(reason: CloseReason): void;
}

/** Above this many bytes waiting for the peer, nothing more is read for it. */
const BEHIND_BYTES = 256 * 1024;

/**
 * Encoded frames that leave at the end of the turn in one WebSocket message, or that a peer which does not read has not
 * taken. The list is made when it is needed.
 */
export class Outbox {
  readonly #sender: Sender;
  #frames: (Uint8Array | string)[] | null = null;
  #lane: Lane = 'none';

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** Queues a frame for the end of the turn. Not called once the connection is closed. */
  queue(frame: Uint8Array | string): void {
    if (this.#frames === null) this.#frames = [frame];
    else this.#frames.push(frame);
    if (this.#lane !== 'none') return;
    this.#lane = 'rest';
    this.#sender.context.flushQueue.addRest(this);
  }

  /** Makes the queued frames leave before the turn's room messages. */
  flushBeforeMessages(): void {
    if (this.#lane === 'first' || this.#frames === null) return;
    this.#lane = 'first';
    this.#sender.context.flushQueue.addFirst(this);
  }

  /** Sends the queued frames. Called by `FlushQueue` at the end of the turn. */
  flush(): void {
    const frames = this.#frames;
    const { isOpen, socket, codec } = this.#sender;
    this.#lane = 'none';
    if (frames === null || !isOpen) return;
    this.#frames = null;
    socket.cork(() => {
      const left = sendFrames(socket, codec, frames);
      if (left !== null) this.#unsent(left);
    });
  }

  /** The peer does not read, and its queue is full: keep the rest until it drains, within limits. */
  #unsent(frames: readonly (Uint8Array | string)[]): void {
    const sender = this.#sender;
    if (!sender.isOpen) return;
    let bytes = 0;
    for (const frame of frames) bytes += frame.length;
    const { maxUnsentBytes, metrics } = sender.context;
    if (bytes > maxUnsentBytes) {
      // No error could reach it: it does not read.
      metrics.limits['websocket.backpressureBytes']++;
      return sender.close(CLOSE.tooSlow);
    }
    this.#frames = frames.map(toKeep);
    sender.stalled();
  }

  /** The socket has room again. */
  drained(): void {
    if (this.#frames !== null) this.flush();
  }

  /** Nothing of it will be sent. */
  drop(): void {
    this.#frames = null;
  }

  /** Queued frames could not be sent, and wait for the socket to drain. */
  get isStalled(): boolean {
    return this.#frames !== null && this.#lane === 'none';
  }

  /**
   * Bytes that may be sent in one turn besides replies. With more than this waiting, the connection is
   * behind. It is half of the maximum that may wait, since a connection given more than the maximum is
   * closed.
   */
  get fillBytes(): number {
    return Math.min(BEHIND_BYTES, this.#sender.context.maxUnsentBytes / 2);
  }

  /** So much waits for the peer that more would only be kept here. The socket reports when it drains. */
  get isBehind(): boolean {
    return this.isStalled || this.#sender.socket.bufferedBytes() > this.fillBytes;
  }
}
