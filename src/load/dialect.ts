import type { DialectMember, WireMessage } from './member.ts';
import type { Tally } from './tally.ts';

/** A publish as a WebSocket message that is built once: only its payload changes. */
export interface PublishTemplate extends WireMessage {
  /** Where the payload starts in `body`. */
  readonly payloadAt: number;
}

/** What a dialect needs to know about the run; passed to driver processes as JSON. */
export interface DialectOptions {
  readonly payloadBytes: number;
  /** Path of the endpoint, if not the dialect's default. */
  readonly path?: string;
  readonly token?: string;
}

/** The exports of a module that a `DialectChoice` names. */
export interface DialectModule {
  createDialect(options: DialectOptions): Dialect;
}

/** How driver processes find their dialect: the URL of a module, so that peers' protocols can live elsewhere. */
export interface DialectChoice {
  readonly module: string;
  readonly options: DialectOptions;
}

/**
 * How the driver talks to a server under test. One for each wire protocol; knows nothing about load or
 * processes.
 */
export interface Dialect {
  /** `room` null: for a connection that publishes without being a member. */
  upgrade(room: string | null): { readonly path: string; readonly headers: Readonly<Record<string, string>> };
  /**
   * What a connection sends after its upgrade, or null. A connection that was ready before asks for what it
   * missed, if the protocol can.
   */
  opening(connection: DialectMember): WireMessage | null;
  /**
   * One WebSocket message, `bytes` from `at` to `end`, received before the connection was ready. Returns
   * whether it is ready now. May send more, and passes room messages in it to `tally.deliver`.
   *
   * @throws if the server refused.
   */
  opened(connection: DialectMember, bytes: Uint8Array, at: number, end: number, tally: Tally): boolean;
  publish(room: string, payload: Uint8Array): PublishTemplate;
  /**
   * One received WebSocket message, `bytes` from `at` to `end`: passes each room message in it to
   * `tally.deliver` and checks its number against the last one. The hot path: MUST NOT allocate.
   */
  receive(connection: DialectMember, bytes: Uint8Array, at: number, end: number, tally: Tally): void;
}
