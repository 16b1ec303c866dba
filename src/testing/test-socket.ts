import type { Connection } from '../connection/connection.ts';
import type { SendOutcome, Socket } from '../connection/socket.ts';
import type { TopicList, TopicMember } from '../connection/topic-list.ts';
import type { CloseReason } from '../protocol/codes.ts';
import { ABNORMAL, type BrokerEnd, type Cable } from './cable.ts';

/** What happens to a socket, for the node. */
export interface SocketEvents {
  message(connection: Connection, message: Uint8Array, isBinary: boolean): void;
  ponged(connection: Connection): void;
  /** A message was dropped: more than may wait for the client waits already. */
  dropped(connection: Connection, message: Uint8Array): void;
  drained(connection: Connection): void;
  closed(connection: Connection, code: number): void;
}

export interface TestSocketParts {
  readonly cable: Cable;
  readonly isBinary: boolean;
  readonly topics: TopicList<TestSocket>;
  /** Bytes that may wait for a client that does not read. */
  readonly backpressureBytes: number;
  readonly events: SocketEvents;
}

/** The broker's end of a cable. It drops and reports as a socket of uWebSockets.js does. */
export class TestSocket implements Socket, TopicMember, BrokerEnd {
  readonly remoteAddress = '127.0.0.1';
  readonly addressKey = null;
  connection: Connection | null = null;
  readonly #parts: TestSocketParts;
  #isOpen = true;

  constructor(parts: TestSocketParts) {
    this.#parts = parts;
  }

  // ---- for the connection --------------------------------------------------------------------------------

  send(message: Uint8Array | string): SendOutcome {
    const { cable, backpressureBytes, events } = this.#parts;
    if (!this.#isOpen || this.connection === null) return 'dropped';
    if (cable.bytesHeld > backpressureBytes) {
      events.dropped(this.connection, Buffer.from(message));
      return 'dropped';
    }
    cable.sendToClient(this.#asSent(message));
    return cable.bytesHeld > 0 ? 'queued' : 'sent';
  }

  fromTopic(message: Uint8Array | string): void {
    this.send(message);
  }

  cork(work: () => void): void {
    work();
  }

  subscribe(topic: string): void {
    if (this.#isOpen) this.#parts.topics.subscribe(this, topic);
  }

  unsubscribe(topic: string): void {
    this.#parts.topics.unsubscribe(this, topic);
  }

  publishToOthers(topic: string, message: Uint8Array | string): void {
    this.#parts.topics.publishToOthers(this, topic, message);
  }

  ping(): void {
    if (this.#isOpen) this.#parts.cable.ping();
  }

  bufferedBytes(): number {
    return this.#parts.cable.bytesHeld;
  }

  end({ code, reason }: CloseReason): void {
    const { cable, backpressureBytes } = this.#parts;
    if (!this.#isOpen) return;
    // A close frame behind a full queue is dropped, as a message is.
    if (cable.bytesHeld > backpressureBytes) return this.destroy();
    cable.closeToClient(code, reason);
    this.#close(code);
  }

  destroy(): void {
    if (!this.#isOpen) return;
    this.#parts.cable.cut('the broker dropped the connection');
    this.#close(ABNORMAL);
  }

  // ---- from the cable -------------------------------------------------------------------------------------

  get user(): string | null {
    return this.connection?.user ?? null;
  }

  received(data: Uint8Array | string): void {
    if (this.connection === null) return;
    const isBinary = typeof data !== 'string';
    this.#parts.events.message(this.connection, isBinary ? data : Buffer.from(data), isBinary);
  }

  ponged(): void {
    if (this.connection !== null) this.#parts.events.ponged(this.connection);
  }

  drained(): void {
    if (this.connection !== null) this.#parts.events.drained(this.connection);
  }

  closed(code: number): void {
    this.#close(code);
  }

  #close(code: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { topics, cable, events } = this.#parts;
    topics.forget(this);
    cable.brokerGone();
    if (this.connection !== null) events.closed(this.connection, code);
  }

  /** The bytes are copied: a frame is cut from a block that is used again. */
  #asSent(message: Uint8Array | string): Uint8Array | string {
    if (typeof message === 'string') return message;
    return this.#parts.isBinary ? new Uint8Array(message) : Buffer.from(message).toString();
  }
}
