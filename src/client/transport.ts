/** What carries WebSocket messages, or acts as if it did. A link is one connection; it is never opened again. */
import type { Chunk, ClientCodec } from './codec.ts';
import type { TransportName } from './status.ts';

export interface LinkEvents {
  opened(): void;
  message(data: unknown): void;
  /** Exactly once, also where the link never opened, and never while `open` runs. Nothing is called after it. */
  closed(code: number, reason: string): void;
}

export interface Link {
  /** Bytes that wait to leave. */
  readonly bufferedBytes: number;
  /** Sends one WebSocket message. MUST NOT throw. */
  send(message: Chunk): void;
  /** Ends the link. Nothing is called after it, `closed` neither. May be called twice. */
  abandon(): void;
}

export interface Transport {
  readonly name: TransportName;
  /** In place of the client's, where it carries something else than WebSocket messages. */
  readonly codec?: ClientCodec;
  /** Of a fallback: whether it works where WebSockets do not. Asked before each attempt. MUST NOT reject. */
  readonly isNeeded?: (url: string) => Promise<boolean>;
  /** `token`: for transports that cannot send an `auth` frame. MUST NOT throw: failures are told by `closed`. */
  open(url: string, protocol: string, token: string | null, events: LinkEvents): Link;
}
