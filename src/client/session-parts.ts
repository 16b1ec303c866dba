/** What a session is given, and what it tells. */
import type { HelloInfo, ServerFrame } from '../protocol/frames.ts';
import type { ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import type { RefusedError } from './errors.ts';
import type { Inspector } from './inspector.ts';
import type { Transport } from './transport.ts';

export interface SessionEnd {
  readonly code: number;
  readonly reason: string;
  /** The node said hello: the connection may have been used. */
  readonly wasReady: boolean;
  /** How long the node asked to wait before the next connection; null where it did not. */
  readonly retryAfterMs: number | null;
  /** What the node said last, where that was an error that answered no request or refused the token: why it ended the connection. */
  readonly error: RefusedError | null;
}

export interface SessionEvents {
  /** The connection may be used. Called once. `user`: whom the node takes the client for. */
  ready(info: HelloInfo, user: string | null): void;
  /** The node accepted the token. */
  authenticated(expiresAtMs: number | null): void;
  push(frame: ServerFrame): void;
  /** An error that answers no request, on a connection that goes on. */
  failed(error: RefusedError): void;
  /** Exactly once, last. */
  ended(end: SessionEnd): void;
}

export interface SessionOptions {
  readonly url: string;
  readonly token: string | null;
  readonly transport: Transport;
  readonly codec: ClientCodec;
  readonly environment: Environment;
  readonly inspector: Inspector;
  /** From opening the link until the connection may be used. */
  readonly connectTimeoutMs: number;
  /** How long a node may take to answer a ping. */
  readonly probeTimeoutMs: number;
}

/** Takes the result of a request, or why there is none. */
export type Reply = (error: Error | null, result?: unknown) => void;

/** The close code of a link that ended without one. */
export const LINK_LOST = 1006;
