import type { Authenticator, Identity } from '../auth/identity.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import type { Turn } from '../util/turn.ts';
import type { Connection } from './connection.ts';
import type { Outboxes } from './outboxes.ts';
import type { SendingLimits } from './sending-limits.ts';
import type { RoomServices } from './services.ts';

/** What all connections of a node share. */
export interface ConnectionContext {
  readonly services: RoomServices;
  readonly outboxes: Outboxes;
  /** Null where no authentication is configured: every connection is anonymous. */
  readonly authenticator: Authenticator | null;
  /** A connection has proved who it is, or did so anew. */
  identified(connection: Connection, identity: Identity): void;
  readonly limits: SendingLimits;
  /** Bytes in one message of a connection that has yet to present its token. */
  readonly maxBytesBeforeAuth: number;
  readonly turn: Pick<Turn, 'number' | 'request'>;
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
