import type { BenchConnection } from './connection.ts';
import type { Tally } from './tally.ts';

/** A publish as a WebSocket message that is built once: only the payload in it changes. */
export interface PublishTemplate {
  readonly opcode: number;
  readonly body: Uint8Array;
  /** Where the payload begins in `body`. */
  readonly payloadAt: number;
}

/** How a server under test is spoken to. One for each wire protocol; knows nothing of load or of processes. */
export interface Dialect {
  readonly subprotocol: string | null;
  /** Path of the upgrade for a member of this room. */
  path(room: string): string;
  /** What a member sends once connected, or null where the path said it all. */
  join(room: string): { readonly opcode: number; readonly body: Uint8Array } | null;
  /** Whether this message, received before the load began, says that the membership stands. Throws for a refusal. */
  isJoined(body: Uint8Array): boolean;
  publish(room: string, payload: Uint8Array): PublishTemplate;
  /**
   * One received WebSocket message, `bytes` from `at` to `end`: hands each room message in it to `tally.deliver` and
   * holds its number against the last one. The hot path: MUST NOT allocate.
   */
  receive(connection: BenchConnection, bytes: Uint8Array, at: number, end: number, tally: Tally): void;
}
