/**
 * What a connection needs from its socket. `transport/` implements it over uWebSockets.js, tests with a
 * list. A connection never sees the raw socket.
 */
import type { CloseReason } from '../protocol/codes.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';

export type SendOutcome = 'sent' | 'queued' | 'dropped';

export interface Socket {
  /** Address of the peer, for logs. */
  readonly remoteAddress: string;
  /** What the limits of addresses count the client by; null: they do not apply. */
  readonly addressKey: string | null;
  /**
   * Sends one WebSocket message. `queued`: it waits for the peer to read. `dropped`: the queue is at its
   * limit or the socket is gone. MUST NOT throw, even after the socket closed.
   */
  send(message: Uint8Array | string): SendOutcome;
  /** Runs `work` so that what it sends to this socket leaves in one system call. */
  cork(work: () => void): void;
  /** Adds the socket to a native topic. Repeating it is harmless. */
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  /** Publishes to a topic, except to this socket. */
  publishToOthers(topic: string, message: Uint8Array | string): void;
  /** Sends a WebSocket ping, or what keeps another kind of socket alive. */
  ping(): void;
  /** Bytes waiting in this process for the peer to read. */
  bufferedBytes(): number;
  /** Sends what waits, then a close frame. */
  end(reason: CloseReason): void;
  /** Drops the socket at once: no close frame, nothing flushed. */
  destroy(): void;
}

/** Fan-out: one call reaches every socket on a topic. A topic has sockets of one encoding. */
export interface Fanout {
  publish(topic: string, message: Uint8Array | string, encoding: ReaderEncoding): void;
}
