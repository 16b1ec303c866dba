/**
 * uWebSockets.js as it was observed, without a network: topics, the queue of what was published to them, sockets whose peers
 * read or do not. What it models, and a list does not: who gets a message is decided when it is published, and it leaves
 * later; a socket that is over its limit drops a message, says so once for each drain, and silently drops the rest.
 */
import type { Fanout, SendOutcome, Socket } from '../../src/connection/socket.ts';
import { decodeServerFrames } from '../../src/protocol/client-codec.ts';
import type { CloseReason } from '../../src/protocol/codes.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';

type Message = Uint8Array | string;

/** Messages that wait for a drain; one more makes all of them leave at once. */
const WAITING_MESSAGES = 32;
/** A message of so many bytes leaves from within `publish`. */
const DIRECT_BYTES = 16 * 1024;

export interface SocketEvents {
  dropped(message: Uint8Array): void;
  drained(): void;
  closed(): void;
}

export class UwsModel implements Fanout {
  readonly #topics = new Map<string, Set<UwsSocket>>();
  readonly #sockets = new Set<UwsSocket>();
  #waiting = 0;
  /** Whether what happens now is the handling of something that a peer sent. */
  isHandling = false;
  /** Publishes from within such a handler, where each past the 32nd costs a system call for each member. */
  publishedInHandler = 0;

  socket(maxBackpressure: number): UwsSocket {
    const socket = new UwsSocket(this, maxBackpressure);
    this.#sockets.add(socket);
    return socket;
  }

  publish(topic: string, message: Message): void {
    this.publishFrom(null, topic, message);
  }

  publishFrom(sender: UwsSocket | null, topic: string, message: Message): void {
    if (this.isHandling) this.publishedInHandler++;
    const members = [...(this.#topics.get(topic) ?? [])].filter((socket) => socket !== sender);
    if (members.length === 0) return;
    if (this.#waiting === WAITING_MESSAGES || message.length >= DIRECT_BYTES) this.drain();
    for (const socket of members) socket.fromTopic.push(message);
    this.#waiting++;
    if (message.length >= DIRECT_BYTES) this.drain();
  }

  /** What the event loop does after each callback. */
  drain(): void {
    this.#waiting = 0;
    for (const socket of this.#sockets) socket.drainTopics();
  }

  subscribe(socket: UwsSocket, topic: string): void {
    const members = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, members.add(socket));
  }

  unsubscribe(socket: UwsSocket, topic: string): void {
    this.#topics.get(topic)?.delete(socket);
  }

  forget(socket: UwsSocket): void {
    this.#sockets.delete(socket);
    for (const members of this.#topics.values()) members.delete(socket);
  }

  topicsOf(socket: UwsSocket): string[] {
    return [...this.#topics].filter(([, members]) => members.has(socket)).map(([topic]) => topic);
  }
}

export class UwsSocket implements Socket {
  readonly remoteAddress = '203.0.113.7';
  readonly addressKey = '203.0.113.7';
  readonly #app: UwsModel;
  readonly #maxBackpressure: number;
  /** What was published for it and has not left yet. */
  fromTopic: Message[] = [];
  #queue: Message[] = [];
  #buffered = 0;
  #isReading = true;
  #isOpen = true;
  readonly #received: Message[] = [];
  /** The close code that its peer saw: 1006 where no close frame reached it. */
  closeCode: number | null = null;
  /** The kernel takes what waits right after a message was dropped, so that the next one would pass. */
  makesRoomAfterDrop = false;
  /** Most bytes that ever waited for its peer. */
  mostBuffered = 0;
  events: SocketEvents | null = null;

  constructor(app: UwsModel, maxBackpressure: number) {
    this.#app = app;
    this.#maxBackpressure = maxBackpressure;
  }

  send(message: Message): SendOutcome {
    if (!this.#isOpen) return 'dropped';
    this.drainTopics();
    if (this.#offer(message)) return this.#isReading ? 'sent' : 'queued';
    this.events?.dropped(Buffer.from(message));
    return 'dropped';
  }

  drainTopics(): void {
    const messages = this.fromTopic;
    this.fromTopic = [];
    for (const message of messages) {
      if (this.#offer(message)) continue;
      this.events?.dropped(Buffer.from(message));
      return;
    }
  }

  /** False where its queue is over its limit already. */
  #offer(message: Message): boolean {
    if (this.#isReading) {
      this.#received.push(message);
      return true;
    }
    if (this.#buffered > this.#maxBackpressure) {
      if (this.makesRoomAfterDrop) this.#takeQueue();
      return false;
    }
    this.#queue.push(message);
    this.#buffered += message.length;
    this.mostBuffered = Math.max(this.mostBuffered, this.#buffered);
    return true;
  }

  cork(work: () => void): void {
    work();
  }

  subscribe(topic: string): void {
    this.#app.subscribe(this, topic);
  }

  unsubscribe(topic: string): void {
    this.#app.unsubscribe(this, topic);
  }

  publishToOthers(topic: string, message: Message): void {
    this.#app.publishFrom(this, topic, message);
  }

  ping(): void {
    // No peer here answers.
  }

  bufferedBytes(): number {
    return this.#buffered;
  }

  end({ code }: CloseReason): void {
    this.drainTopics();
    // A close frame behind a full queue is dropped as a message is.
    this.#close(this.#buffered > this.#maxBackpressure ? 1006 : code);
  }

  destroy(): void {
    this.#close(1006);
  }

  #close(code: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.closeCode = code;
    this.#app.forget(this);
    this.events?.closed();
  }

  // ---- the peer --------------------------------------------------------------------------------------------

  /** The peer stops reading. */
  stall(): void {
    this.#isReading = false;
  }

  /** The peer reads all that waits for it, and goes on reading. */
  read(): void {
    this.#isReading = true;
    this.#takeQueue();
    if (this.#isOpen) this.events?.drained();
  }

  #takeQueue(): void {
    this.#received.push(...this.#queue);
    this.#queue = [];
    this.#buffered = 0;
  }

  /** The peer goes away without a word. */
  cut(): void {
    this.#close(1006);
  }

  get topics(): string[] {
    return this.#app.topicsOf(this);
  }

  /** All frames that the peer read. */
  get frames(): ServerFrame[] {
    return this.#received.flatMap((message) => decodeServerFrames(message));
  }
}
