import type { DialectMember, WireMessage } from './member.ts';
import type { Tally } from './tally.ts';

/** A publish as a WebSocket message that is built once: only the payload in it changes. */
export interface PublishTemplate extends WireMessage {
  /** Where the payload begins in `body`. */
  readonly payloadAt: number;
}

/** What a dialect needs to know of the run; passed to driver processes as JSON. */
export interface DialectOptions {
  readonly payloadBytes: number;
  /** Path of the endpoint, where it is not the dialect's own. */
  readonly path?: string;
  readonly token?: string;
}

/** What a module that a `DialectChoice` names exports. */
export interface DialectModule {
  createDialect(options: DialectOptions): Dialect;
}

/** How driver processes find their dialect: the URL of a module, so that peers' protocols can live elsewhere. */
export interface DialectChoice {
  readonly module: string;
  readonly options: DialectOptions;
}

/** How a server under test is spoken to. One for each wire protocol; knows nothing of load or of processes. */
export interface Dialect {
  /** `room` null: for a connection that publishes without being a member. */
  upgrade(room: string | null): { readonly path: string; readonly headers: Readonly<Record<string, string>> };
  /** What a connection sends as soon as it is upgraded, or null. One that was ready before asks for what it missed, if the protocol can. */
  opening(connection: DialectMember): WireMessage | null;
  /**
   * One WebSocket message, `bytes` from `at` to `end`, that came before the connection was ready. Returns whether it is
   * now. May send more, and hands room messages in it to `tally.deliver`.
   *
   * @throws when the server refused.
   */
  opened(connection: DialectMember, bytes: Uint8Array, at: number, end: number, tally: Tally): boolean;
  publish(room: string, payload: Uint8Array): PublishTemplate;
  /**
   * One received WebSocket message, `bytes` from `at` to `end`: hands each room message in it to `tally.deliver` and
   * holds its number against the last one. The hot path: MUST NOT allocate.
   */
  receive(connection: DialectMember, bytes: Uint8Array, at: number, end: number, tally: Tally): void;
}
