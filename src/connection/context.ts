import type { Authenticator, Identity } from '../auth/identity.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import type { RateLimit } from '../util/rate-limit.ts';
import type { Connection } from './connection.ts';
import type { FlushQueue } from './flush-queue.ts';
import type { RoomServices } from './services.ts';

/** What all connections of a node share. */
export interface ConnectionContext {
  readonly services: RoomServices;
  readonly flushQueue: FlushQueue;
  /** Null where no authentication is configured: every connection is anonymous. */
  readonly authenticator: Authenticator | null;
  /** A connection has proved who it is, or did so anew. */
  identified(connection: Connection, identity: Identity): void;
  readonly rateLimit: RateLimit;
  /** Commands refused for their rate, in a row, before the connection is closed. */
  readonly maxRefusals: number;
  /** Commands that may wait while a token is being checked. */
  readonly maxHeldCommands: number;
  /** Bytes of replies kept for a socket that does not read, and of commands while a token is being checked. */
  readonly maxUnsentBytes: number;
  readonly heartbeatMs: number;
  readonly maxPayloadBytes: number;
  readonly clock: Clock;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}
