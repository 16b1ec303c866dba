/**
 * What lies between a client's WebSocket and a node's socket. The node's end drops and reports as sockets of uWebSockets.js do:
 * what is published to topics leaves after the callback, and a socket beyond its limit drops one message aloud, and the rest of that
 * drain without a word.
 */
import type { Connection } from '../../../src/connection/connection.ts';
import type { Fanout, SendOutcome, Socket } from '../../../src/connection/socket.ts';
import type { CloseReason } from '../../../src/protocol/codes.ts';
import type { Loop, Owner } from './loop.ts';
import { Wire } from './wire.ts';

type Message = Uint8Array | string;

/** What happens to a node's socket. */
export interface SocketEvents {
  message(connection: Connection, message: Uint8Array, isBinary: boolean): void;
  ponged(connection: Connection): void;
  dropped(connection: Connection, message: Uint8Array): void;
  drained(connection: Connection): void;
  closed(connection: Connection, code: number): void;
}

const ABNORMAL = 1006;
const WAITING_MESSAGES = 32;
const DIRECT_BYTES = 16 * 1024;
/** A ping, a pong, a close frame. */
const CONTROL_BYTES = 6;
const CLOSE_TIMEOUT_MS = 2_000;

/** The topics of one node. */
export class Topics implements Fanout {
  readonly #topics = new Map<string, Set<NodeSocket>>();
  readonly #sockets = new Set<NodeSocket>();
  #waiting = 0;

  publish(topic: string, message: Message): void {
    this.publishFrom(null, topic, message);
  }

  publishFrom(sender: NodeSocket | null, topic: string, message: Message): void {
    const members = [...(this.#topics.get(topic) ?? [])].filter((socket) => socket !== sender);
    if (members.length === 0) return;
    if (this.#waiting === WAITING_MESSAGES || message.length >= DIRECT_BYTES) this.drain();
    const copy = typeof message === 'string' ? message : new Uint8Array(message);
    for (const socket of members) socket.fromTopic.push(copy);
    this.#waiting++;
    if (message.length >= DIRECT_BYTES) this.drain();
  }

  /** After each callback. */
  drain(): void {
    if (this.#waiting === 0) return;
    this.#waiting = 0;
    for (const socket of [...this.#sockets]) socket.drainTopics();
  }

  add(socket: NodeSocket): void {
    this.#sockets.add(socket);
  }

  subscribe(socket: NodeSocket, topic: string): void {
    const members = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, members.add(socket));
  }

  unsubscribe(socket: NodeSocket, topic: string): void {
    const members = this.#topics.get(topic);
    if (members?.delete(socket) && members.size === 0) this.#topics.delete(topic);
  }

  forget(socket: NodeSocket): void {
    this.#sockets.delete(socket);
    for (const topic of [...this.#topics.keys()]) this.unsubscribe(socket, topic);
  }

  /** Sockets and topics that are left. */
  get size(): number {
    return this.#sockets.size + this.#topics.size;
  }
}

export interface WebSocketLinkParts {
  readonly loop: Loop;
  readonly client: Owner;
  readonly latencyMs: () => number;
  /** Bytes that lie in the network for a client that does not read. */
  readonly windowBytes: number;
  /** Whose the other end is: called when the request arrives. Null: nobody listens there. */
  readonly knocked: (link: WebSocketLink) => Owner | null;
  readonly to: Owner;
  readonly over: (link: WebSocketLink) => void;
}

export class WebSocketLink {
  readonly client: Owner;
  readonly to: Owner;
  readonly socket: SimulatedWebSocket;
  node: NodeSocket | null = null;
  readonly #parts: WebSocketLinkParts;
  readonly #toNode: Wire<() => void>;
  readonly #toClient: Wire<() => void>;
  /** Bytes that the network holds for a client that does not read. */
  #windowBytes = 0;
  isCut = false;

  constructor(parts: WebSocketLinkParts, url: string, protocol: string) {
    const { loop, client, to, latencyMs } = parts;
    this.client = client;
    this.to = to;
    this.#parts = parts;
    const arrived = (work: () => void) => work();
    this.#toNode = new Wire({ loop, to, latencyMs, arrived });
    this.#toClient = new Wire({ loop, to: client, latencyMs, arrived });
    this.#toClient.drained = () => {
      if (this.node?.wasBuffering) loop.after(0, () => this.node?.drained(), to);
    };
    this.socket = new SimulatedWebSocket(loop, this, url, protocol);
    this.#toNode.put(() => {
      if (parts.knocked(this) === null) this.refuse('connect ECONNREFUSED');
    }, CONTROL_BYTES);
  }

  /** Bytes that wait at the node, beyond what the network holds. */
  get bytesAtNode(): number {
    return this.#toClient.isPaused ? Math.max(0, this.#toClient.bytes - this.#windowBytes) : 0;
  }

  /** Whether its client reads nothing. */
  get isPaused(): boolean {
    return this.#toClient.isPaused;
  }

  get bytesAtClient(): number {
    return this.#toNode.bytes;
  }

  toNode(bytes: number, work: () => void): void {
    this.#toNode.put(work, bytes);
  }

  toClient(bytes: number, work: () => void): void {
    this.#toClient.put(work, bytes);
  }

  /** The node takes it. */
  accept(node: NodeSocket, subprotocol: string): void {
    this.node = node;
    this.toClient(CONTROL_BYTES, () => this.socket.opened(subprotocol));
  }

  refuse(why: string): void {
    this.toClient(CONTROL_BYTES, () => this.socket.failed(why));
  }

  clientGone(): void {
    this.#toClient.die();
    this.#parts.over(this);
  }

  // ---- what happens to it --------------------------------------------------------------------------------

  /** `silent`: neither end is told. */
  cut(why: string, silent = false): void {
    if (this.isCut) return;
    this.isCut = true;
    this.#toNode.die();
    this.#toClient.die();
    if (silent) return;
    const { loop } = this.#parts;
    loop.after(0, () => this.node?.closed(ABNORMAL), this.to);
    loop.after(0, () => this.socket.failed(why), this.client);
  }

  /** What is on its way has left the node. */
  pause(): void {
    if (this.isPaused) return;
    this.#windowBytes = Math.max(this.#parts.windowBytes, this.#toClient.bytes);
    this.#toClient.pause();
  }

  resume(): void {
    this.#toClient.resume();
  }
}

/** The node's end. */
export class NodeSocket implements Socket {
  readonly remoteAddress = '203.0.113.7';
  readonly addressKey = '203.0.113.7';
  connection: Connection | null = null;
  /** What was published for it and has not left yet. */
  fromTopic: Message[] = [];
  wasBuffering = false;
  mostBuffered = 0;
  readonly #link: WebSocketLink;
  readonly #topics: Topics;
  readonly #isBinary: boolean;
  readonly #limit: number;
  readonly #events: SocketEvents;
  #isOpen = true;

  constructor(link: WebSocketLink, topics: Topics, isBinary: boolean, limit: number, events: SocketEvents) {
    this.#link = link;
    this.#topics = topics;
    this.#isBinary = isBinary;
    this.#limit = limit;
    this.#events = events;
    topics.add(this);
  }

  send(message: Message): SendOutcome {
    if (!this.#isOpen) return 'dropped';
    this.drainTopics();
    if (this.#offer(message)) return this.#link.bytesAtNode > 0 ? 'queued' : 'sent';
    this.#dropped(message);
    return 'dropped';
  }

  drainTopics(): void {
    const messages = this.fromTopic;
    this.fromTopic = [];
    for (const message of messages) {
      if (!this.#isOpen) return;
      if (this.#offer(message)) continue;
      this.#dropped(message);
      return;
    }
  }

  /** False where its queue is over its limit already. */
  #offer(message: Message): boolean {
    const link = this.#link;
    if (link.bytesAtNode > this.#limit) return false;
    const sent = this.#asSent(message);
    link.toClient(message.length, () => link.socket.received(sent));
    const buffered = link.bytesAtNode;
    if (buffered > 0) this.wasBuffering = true;
    this.mostBuffered = Math.max(this.mostBuffered, buffered);
    return true;
  }

  #dropped(message: Message): void {
    if (this.connection !== null) this.#events.dropped(this.connection, Buffer.from(message));
  }

  cork(work: () => void): void {
    work();
  }

  subscribe(topic: string): void {
    if (this.#isOpen) this.#topics.subscribe(this, topic);
  }

  unsubscribe(topic: string): void {
    this.#topics.unsubscribe(this, topic);
  }

  publishToOthers(topic: string, message: Message): void {
    this.#topics.publishFrom(this, topic, message);
  }

  ping(): void {
    const link = this.#link;
    if (!this.#isOpen) return;
    link.toClient(CONTROL_BYTES, () => link.toNode(CONTROL_BYTES, () => this.#ponged()));
  }

  bufferedBytes(): number {
    return this.#link.bytesAtNode;
  }

  end({ code, reason }: CloseReason): void {
    if (!this.#isOpen) return;
    this.drainTopics();
    const link = this.#link;
    // A close frame behind a full queue is dropped as a message is.
    if (link.bytesAtNode > this.#limit) return this.destroy();
    link.toClient(CONTROL_BYTES, () => link.socket.ended(code, reason));
    this.closed(code);
  }

  destroy(): void {
    if (!this.#isOpen) return;
    this.#link.cut('the node dropped the connection');
    this.closed(ABNORMAL);
  }

  // ---- from the link -------------------------------------------------------------------------------------

  received(message: Message): void {
    if (this.connection === null || !this.#isOpen) return;
    const isBinary = typeof message !== 'string';
    this.#events.message(this.connection, isBinary ? message : Buffer.from(message), isBinary);
  }

  drained(): void {
    this.wasBuffering = false;
    if (this.#isOpen && this.connection !== null) this.#events.drained(this.connection);
  }

  closed(code: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#topics.forget(this);
    if (this.connection !== null) this.#events.closed(this.connection, code);
  }

  #ponged(): void {
    if (this.#isOpen && this.connection !== null) this.#events.ponged(this.connection);
  }

  /** A copy: a frame is cut from a block that is used again. */
  #asSent(message: Message): Message {
    if (typeof message === 'string') return message;
    return this.#isBinary ? new Uint8Array(message) : Buffer.from(message).toString();
  }
}

/** The client's end: the part of the standard WebSocket that the client library uses. */
export class SimulatedWebSocket {
  binaryType = 'arraybuffer';
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  readonly url: string;
  readonly protocols: string;
  readonly #loop: Loop;
  readonly #link: WebSocketLink;
  #state: 'connecting' | 'open' | 'closing' | 'closed' = 'connecting';

  constructor(loop: Loop, link: WebSocketLink, url: string, protocols: string) {
    this.#loop = loop;
    this.#link = link;
    this.url = url;
    this.protocols = protocols;
  }

  get bufferedAmount(): number {
    return this.#link.bytesAtClient;
  }

  send(message: string | Uint8Array): void {
    if (this.#state === 'connecting') throw new Error('still connecting');
    if (this.#state !== 'open') return;
    const copy = typeof message === 'string' ? message : new Uint8Array(message);
    this.#link.toNode(message.length, () => this.#link.node?.received(copy));
  }

  close(code = 1005): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closing';
    if (!wasOpen) return this.#link.cut('closed before it was open');
    this.#link.toNode(CONTROL_BYTES, () => {
      const isKnown = this.#link.node !== null;
      this.#link.node?.closed(code);
      if (isKnown) this.#link.toClient(CONTROL_BYTES, () => this.ended(code, ''));
    });
    this.#loop.after(CLOSE_TIMEOUT_MS, () => {
      if (this.#state !== 'closed') this.#link.cut('no answer to the close frame');
      this.failed('no answer to the close frame');
    });
  }

  // ---- from the link -------------------------------------------------------------------------------------

  opened(_subprotocol: string): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this.onopen?.();
  }

  received(message: Message): void {
    if (this.#state !== 'open') return;
    const data = typeof message === 'string' ? message : new Uint8Array(message).buffer;
    this.onmessage?.({ data });
  }

  failed(why: string): void {
    if (this.#state === 'closed') return;
    this.onerror?.({ message: why });
    this.ended(ABNORMAL, '');
  }

  ended(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#link.clientGone();
    this.onclose?.({ code, reason });
  }
}
