/**
 * Takes the messages of subscribed channels out of a link's stream, ahead of ioredis. Its parser builds an
 * array and three Buffers for each of them, and calls a dozen functions to classify it; that was a tenth of a
 * node's JavaScript.
 *
 * The stream is cut at the ends of whole RESP2 replies: a push with a message goes to `push`, and every run of
 * other replies (confirmations, pongs, errors) to `rest` unchanged, in order. An incomplete reply waits for
 * its next chunk. The reader must see the stream from its first byte, since only what is before a reply tells
 * it from a payload.
 */
import type { EventEmitter } from 'node:events';
import { startsWith } from '../../../util/bytes.ts';

export interface PushHandlers {
  /** `channel` as latin1: one character per byte. `payload` is a view of the chunk. MUST NOT throw. */
  push(channel: string, payload: Buffer): void;
  /** One or more whole replies. */
  rest(bytes: Buffer): void;
}

/** Of what was published with PUBLISH, and with SPUBLISH. A link subscribes to channels of one kind. */
export type PushKind = 'message' | 'smessage';

export interface DivertOptions {
  readonly kind: PushKind;
  readonly push: PushHandlers['push'];
  /** Returns whether it took the replies: they are then not for the stream's own listeners. */
  takes?(replies: Buffer): boolean;
}

/**
 * Puts a reader between a stream and its listeners, which get the rest. Call it before any data arrives: on
 * `connect`, when ioredis has just added its listener.
 */
export function divertPushes(stream: EventEmitter, { kind, push, takes }: DivertOptions): void {
  const readers = stream.listeners('data');
  const rest = (bytes: Buffer) => {
    if (takes?.(bytes) === true) return;
    for (const read of readers) read.call(stream, bytes);
  };
  const reader = new PushReader({ push, rest }, kind);
  // Add ours first: a stream without a listener stops.
  stream.on('data', (chunk: Buffer) => reader.write(chunk));
  for (const read of readers) stream.removeListener('data', read as (chunk: Buffer) => void);
}

/** How such a push starts, up to the length of the channel. */
const HEADS: Readonly<Record<PushKind, Buffer>> = {
  message: Buffer.from('*3\r\n$7\r\nmessage\r\n$'),
  smessage: Buffer.from('*3\r\n$8\r\nsmessage\r\n$'),
};
const CR = 13;
const COLON = 58;
const PLUS = 43;
const MINUS = 45;
const DOLLAR = 36;
const STAR = 42;

export class PushReader {
  readonly #handlers: PushHandlers;
  readonly #head: Buffer;
  /**
   * The start of a reply, in chunks: joined when `#needed` bytes are there, so that a large one is copied
   * once.
   */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How long an incomplete reply must become, from its start, before it is worth another look. */
  #needed = 0;
  /** Of the last bulk string whose header was read. */
  #length = 0;

  constructor(handlers: PushHandlers, kind: PushKind = 'message') {
    this.#handlers = handlers;
    this.#head = HEADS[kind];
  }

  write(chunk: Buffer): void {
    const bytes = this.#heldBytes === 0 ? chunk : this.#join(chunk);
    if (bytes === null) return;
    const head = this.#head;
    let at = 0;
    let restFrom = 0;
    while (at < bytes.length) {
      const isPush = startsWith(bytes, at, head);
      if (isPush && restFrom < at) this.#handlers.rest(bytes.subarray(restFrom, at));
      const end = isPush ? this.#push(bytes, at) : this.#endOf(bytes, at, at);
      if (end === -1) {
        this.#hold(bytes.subarray(at));
        if (isPush) return;
        break;
      }
      at = end;
      if (isPush) restFrom = at;
    }
    if (restFrom < at) this.#handlers.rest(bytes.subarray(restFrom, at));
  }

  #hold(bytes: Buffer): void {
    this.#held = [bytes];
    this.#heldBytes = bytes.length;
  }

  /** The held bytes and the chunk as one, or null while that is still not enough. */
  #join(chunk: Buffer): Buffer | null {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes < this.#needed) return null;
    const bytes = Buffer.concat(this.#held, this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }

  /** Passes on the push at `at`. Returns where it ends, or -1 if it is incomplete. */
  #push(bytes: Buffer, at: number): number {
    const channelAt = this.#bulkAt(bytes, at + this.#head.length - 1, at);
    if (channelAt === -1) return -1;
    const channelEnd = channelAt + this.#length;
    const payloadAt = this.#bulkAt(bytes, channelEnd + 2, at);
    if (payloadAt === -1) return -1;
    const payloadEnd = payloadAt + this.#length;
    if (payloadEnd + 2 > bytes.length) return this.#lacks(payloadEnd + 2 - at);
    this.#handlers.push(
      bytes.toString('latin1', channelAt, channelEnd),
      bytes.subarray(payloadAt, payloadEnd),
    );
    return payloadEnd + 2;
  }

  /** Where the content of the bulk string with its `$` at `at` starts; its length is in `#length`. */
  #bulkAt(bytes: Buffer, at: number, start: number): number {
    let length = 0;
    for (let i = at + 1; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte !== CR) length = length * 10 + byte - 48;
      else {
        this.#length = length;
        return i + 2;
      }
    }
    return this.#lacks(Math.max(at, bytes.length) + 1 - start);
  }

  /** Where the reply at `at` ends, or -1 if it is incomplete. `start` is where the outermost one starts. */
  #endOf(bytes: Buffer, at: number, start: number): number {
    if (at >= bytes.length) return this.#lacks(at + 1 - start);
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1');
    if (lineEnd === -1) return this.#lacks(bytes.length + 1 - start);
    const type = bytes[at];
    if (type === PLUS || type === MINUS || type === COLON) return lineEnd + 2;
    // Not RESP2: ioredis reports that.
    if (type !== DOLLAR && type !== STAR) return bytes.length;
    const count = Number(bytes.toString('latin1', at + 1, lineEnd));
    let end = lineEnd + 2;
    if (!(count >= 0)) return end;
    if (type === DOLLAR) {
      end += count + 2;
      return end > bytes.length ? this.#lacks(end - start) : end;
    }
    for (let i = 0; i < count && end !== -1; i++) end = this.#endOf(bytes, end, start);
    return end;
  }

  #lacks(needed: number): -1 {
    this.#needed = needed;
    return -1;
  }
}
