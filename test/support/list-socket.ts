/** A socket that is a list: what a connection sends, and what becomes of its topics and its end, is kept to be looked at. */
import type { SendOutcome, Socket } from '../../src/connection/socket.ts';
import { decodeServerFrames } from '../../src/protocol/client-codec.ts';
import type { CloseReason } from '../../src/protocol/codes.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';

export class ListSocket implements Socket {
  readonly remoteAddress = '203.0.113.7';
  readonly addressKey = '203.0.113.7';
  /** WebSocket messages that were taken, in order; dropped ones are not among them. */
  readonly sent: (Uint8Array | string)[] = [];
  readonly topics = new Set<string>();
  readonly published: { readonly topic: string; readonly message: Uint8Array | string }[] = [];
  /** Every close frame that was asked for: a connection asks once. */
  readonly ends: CloseReason[] = [];
  isDestroyed = false;
  pings = 0;
  corks = 0;
  /** How many messages were offered while `outcome` was `dropped`. */
  dropped = 0;
  /** What becomes of the next message: what a peer's reading decides on a real socket. */
  outcome: SendOutcome = 'sent';
  buffered = 0;

  send(message: Uint8Array | string): SendOutcome {
    if (this.outcome === 'dropped') this.dropped++;
    else this.sent.push(message);
    return this.outcome;
  }

  cork(work: () => void): void {
    this.corks++;
    work();
  }

  subscribe(topic: string): void {
    this.topics.add(topic);
  }

  unsubscribe(topic: string): void {
    this.topics.delete(topic);
  }

  publishToOthers(topic: string, message: Uint8Array | string): void {
    this.published.push({ topic, message });
  }

  ping(): void {
    this.pings++;
  }

  bufferedBytes(): number {
    return this.buffered;
  }

  end(reason: CloseReason): void {
    this.ends.push(reason);
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** All frames that were sent, as the peer reads them. */
  get frames(): ServerFrame[] {
    return this.sent.flatMap((message) => decodeServerFrames(message));
  }

  /** The frames of each WebSocket message. */
  get messages(): ServerFrame[][] {
    return this.sent.map((message) => decodeServerFrames(message));
  }
}
