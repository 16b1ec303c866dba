import type { Config } from '../config/config.ts';
import type { Connection } from '../connection/connection.ts';
import type { CommandTable, ConnectionContext } from '../connection/context.ts';
import { helloFacts } from '../connection/hello-facts.ts';
import { sendingLimits } from '../connection/sending-limits.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { BrokerNode } from '../node/broker-node.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';

/**
 * Maximum message size before a token is presented: room for a token as long as the headers of an upgrade may
 * be.
 */
const MAX_BYTES_BEFORE_AUTH = 32 * 1024;

export interface ContextParts {
  readonly node: BrokerNode;
  readonly commands: CommandTable<Connection>;
  readonly mustAuthenticate: boolean;
  readonly clock: Clock;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/** What all connections of the node share. */
export function connectionContext(
  config: Config,
  { node, ...parts }: ContextParts,
): ConnectionContext<Connection> {
  const { maxPayloadBytes } = config.websocket;
  return {
    ...parts,
    flushQueue: node.flushQueue,
    turn: node.endOfTurn,
    turns: node.commandTurns,
    nodeId: node.nodeId,
    stalled: (connection) => node.stalled(connection),
    limits: sendingLimits({ ...config.limits, maxPayloadBytes, dedupWindowMs: config.dedupWindowMs }),
    maxBytesBeforeAuth: Math.min(MAX_BYTES_BEFORE_AUTH, maxPayloadBytes),
    maxUnsentBytes: config.websocket.backpressureBytes,
    heartbeatMs: config.heartbeat.intervalMs,
    maxPayloadBytes,
    facts: helloFacts({ ...config, heartbeatMs: config.heartbeat.intervalMs }),
  };
}
