import type { SendOutcome, Socket } from '../../connection/socket.ts';
import type { TopicList, TopicMember } from '../../connection/topic-list.ts';
import type { CloseReason } from '../../protocol/codes.ts';
import { encodeClose, HEARTBEAT } from '../../protocol/sse/codec.ts';
import type { HttpResponse } from '../uws.ts';
import type { EventWriter, Writable } from './event-writer.ts';

/** With so many bytes waiting they are written at once, and not at the end of the turn. */
const WRITE_BYTES = 64 * 1024;
/** The close code of a stream whose reader left: there was none. */
const NO_CODE = 1005;

/** What an event stream needs from its exchange. */
export interface StreamExchange {
  /** Empty once the client left. */
  readonly clientAddress: string;
  takeOver(left: () => void): HttpResponse;
  /** The answer was ended from here. */
  ended(): void;
}

/** What all event sockets of a node share. */
export interface EventSocketParts {
  readonly topics: TopicList<EventSocket>;
  readonly writer: EventWriter;
  /** Bytes that may wait in this process for one reader. */
  readonly backpressureBytes: number;
}

/** Told what becomes of a socket. */
export interface EventSocketOwner {
  /** Writes status and headers, within `cork`. */
  writeHead(): void;
  /** The stream ends before it has begun. */
  notBegun(reason: CloseReason): void;
  /** The reader has taken what waited for it. */
  drained(): void;
  /** The message that is being published could not be kept. */
  missed(): void;
  /** A heartbeat was written. */
  alive(): void;
  /** Called once, with the close code. */
  gone(code: number): void;
}

/**
 * A connection's socket over an HTTP response that goes on. uWebSockets.js bounds neither what a response queues
 * nor says more than that it queues. So nothing is given to a response that is blocked: it waits here, within the
 * limit that WebSockets have. uWebSockets.js ends a response that stays blocked for some 10 seconds.
 */
export class EventSocket implements Socket, TopicMember, Writable {
  /** Its reader presents its token once, with the request. */
  readonly addressKey = null;
  readonly #exchange: StreamExchange;
  readonly #parts: EventSocketParts;
  readonly #owner: EventSocketOwner;
  #res: HttpResponse | null;
  #hasBegun = false;
  #isHeadWritten = false;
  /** The response took its last chunk only in part. */
  #isBlocked = false;
  #blockedBytes = 0;
  #waiting: Uint8Array[] = NOTHING;
  #waitingBytes = 0;
  #isListed = false;

  constructor(exchange: StreamExchange, parts: EventSocketParts, owner: EventSocketOwner) {
    this.#exchange = exchange;
    this.#parts = parts;
    this.#owner = owner;
    this.#res = exchange.takeOver(() => this.#gone(NO_CODE));
    this.#res.onWritable(() => this.#writable());
  }

  get remoteAddress(): string {
    return this.#res === null ? '' : this.#exchange.clientAddress;
  }

  /** From here on events are written. The caller queues the first one. */
  begin(): void {
    this.#hasBegun = true;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  send(message: Uint8Array | string): SendOutcome {
    if (this.#isFull) this.write();
    if (this.#res === null || this.#isFull) return 'dropped';
    const bytes = typeof message === 'string' ? Buffer.from(message) : message;
    if (this.#waiting === NOTHING) this.#waiting = [bytes];
    else this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WRITE_BYTES) this.write();
    else this.#list();
    return this.#isBlocked ? 'queued' : 'sent';
  }

  get #isFull(): boolean {
    return this.#waitingBytes > this.#parts.backpressureBytes;
  }

  #list(): void {
    if (this.#isListed || this.#isBlocked) return;
    this.#isListed = true;
    this.#parts.writer.add(this);
  }

  fromTopic(message: Uint8Array | string): void {
    if (this.send(message) === 'dropped') this.#owner.missed();
  }

  write(): void {
    this.#isListed = false;
    const res = this.#res;
    if (res === null || !this.#hasBegun || this.#isBlocked || this.#waiting.length === 0) return;
    res.cork(() => this.#writeTo(res));
  }

  #writeTo(res: HttpResponse): void {
    if (!this.#isHeadWritten) {
      this.#isHeadWritten = true;
      this.#owner.writeHead();
    }
    const parts = this.#waiting;
    let taken = 0;
    while (taken < parts.length && !this.#isBlocked) {
      const part = parts[taken++]!;
      this.#waitingBytes -= part.length;
      // False means that it was taken, and that some of it is queued.
      this.#isBlocked = !res.write(part);
      this.#blockedBytes = this.#isBlocked ? part.length : 0;
    }
    this.#waiting = taken === parts.length ? NOTHING : parts.slice(taken);
  }

  /** uWebSockets.js does not write what it has queued by itself once there is a handler for this. */
  #writable(): boolean {
    if (this.#res === null) return true;
    this.#isBlocked = false;
    this.#blockedBytes = 0;
    if (this.#waiting.length === 0) this.send(HEARTBEAT);
    this.write();
    if (!this.#isBlocked) this.#owner.drained();
    return !this.#isBlocked;
  }

  /** What is written waits for the end of the turn anyway. */
  cork(work: () => void): void {
    work();
  }

  subscribe(topic: string): void {
    if (this.#res !== null) this.#parts.topics.subscribe(this, topic);
  }

  unsubscribe(topic: string): void {
    this.#parts.topics.unsubscribe(this, topic);
  }

  publishToOthers(): void {
    throw new Error('an event stream does not publish');
  }

  /** A reader that takes nothing gets no heartbeat, and counts as silent in the end. */
  ping(): void {
    if (this.#isBlocked) return;
    if (this.#hasBegun) this.send(HEARTBEAT);
    this.#owner.alive();
  }

  /** What waits for the end of the turn does not wait for the reader: nothing would tell that it has room again. */
  bufferedBytes(): number {
    return this.#isBlocked ? this.#waitingBytes + this.#blockedBytes : 0;
  }

  end(reason: CloseReason): void {
    const res = this.#res;
    if (res === null) return;
    if (!this.#hasBegun) {
      this.#gone(reason.code);
      return this.#owner.notBegun(reason);
    }
    this.send(encodeClose(reason));
    this.write();
    // Who does not read is cut off: the rest would wait for it.
    if (this.#isBlocked) res.close();
    else {
      res.cork(() => res.end(undefined, true));
      this.#exchange.ended();
    }
    this.#gone(reason.code);
  }

  /** The stream does not begin; its exchange says why. */
  abandon(): void {
    this.#gone(NO_CODE);
  }

  destroy(): void {
    this.#res?.close();
    this.#gone(1006);
  }

  #gone(code: number): void {
    if (this.#res === null) return;
    this.#res = null;
    this.#waiting = NOTHING;
    this.#waitingBytes = 0;
    this.#parts.topics.forget(this);
    this.#owner.gone(code);
  }
}

/** Of most streams, most of the time. Never changed. */
const NOTHING: Uint8Array[] = [];
