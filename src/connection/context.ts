import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { Command, CommandType } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { EndOfTurn } from '../util/end-of-turn.ts';
import type { Logger } from '../util/log.ts';
import type { CommandTurns } from './command-turns.ts';
import type { FlushQueue } from './flush-queue.ts';
import type { HelloFacts } from './hello-facts.ts';
import type { SendingLimits } from './sending-limits.ts';

/** A handler for each type of command. Each replies, now or later, exactly once. */
export type CommandTable<C> = {
  readonly [T in CommandType]: (connection: C, command: Extract<Command, { type: T }>) => void;
};

/**
 * What all connections of a node share. `C` is `Connection`, which imports this file, so it cannot be named
 * here.
 */
export interface ConnectionContext<C> {
  /** 8 lower-case letters and digits, new at each start. */
  readonly nodeId: string;
  readonly commands: CommandTable<C>;
  readonly flushQueue: FlushQueue;
  /** Whether a connection without an identity may only present a token. */
  readonly mustAuthenticate: boolean;
  /** Replies wait in the connection because its peer does not read. */
  stalled(connection: C): void;
  readonly limits: SendingLimits;
  /** Maximum bytes in one message of a connection that has not presented its token yet. */
  readonly maxBytesBeforeAuth: number;
  readonly turn: Pick<EndOfTurn, 'number' | 'request'>;
  /** What the commands of all connections may take in one turn. */
  readonly turns: CommandTurns;
  /** Maximum bytes kept: replies for a socket that does not read, and commands while its first token is being checked. */
  readonly maxUnsentBytes: number;
  readonly heartbeatMs: number;
  readonly maxPayloadBytes: number;
  readonly facts: HelloFacts;
  readonly clock: Clock;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}
