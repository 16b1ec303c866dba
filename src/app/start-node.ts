import type { Config } from '../config/config.ts';
import type { RoomRule } from '../config/room-rule.ts';
import { compileRules } from '../config/rules.ts';
import { clientCommands } from '../connection/commands.ts';
import type { Connection } from '../connection/connection.ts';
import { Heartbeats } from '../connection/heartbeats.ts';
import { NodeMetrics } from '../metrics/node-metrics.ts';
import { BrokerNode } from '../node/broker-node.ts';
import { Server } from '../transport/server.ts';
import { randomId } from '../util/ids.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { createAdmissionGate } from './admission-gate.ts';
import { createAuthenticator } from './authenticator.ts';
import { createBackplane } from './backplane.ts';
import { connectionContext } from './connection-context.ts';
import { registerEndpoints } from './endpoints.ts';
import type { NodeExtensions } from './extensions.ts';
import { type Addresses, listen } from './listen.ts';
import type { NodeParts } from './node-parts.ts';
import { Shutdown } from './shutdown.ts';

type RuleOf = (room: string) => RoomRule;

/** A node that accepts connections. */
export interface RunningNode extends Addresses {
  readonly id: string;
  /** Stops accepting, sends `bye`, closes, frees everything. May be called twice. */
  stop(): Promise<void>;
}

/** Builds the parts of a node in order and starts it. Rejects with an error whose message says what to do. */
export async function startNode(
  config: Config,
  log: Logger,
  extensions: NodeExtensions = {},
): Promise<RunningNode> {
  const parts = buildParts(config, log, extensions);
  registerEndpoints(config, parts);
  await parts.node.start();
  parts.heartbeats.start();
  const addresses = await listen(config, parts);
  return { id: parts.node.nodeId, ...addresses, stop: () => parts.shutdown.run() };
}

function buildParts(config: Config, log: Logger, extensions: NodeExtensions): NodeParts {
  const rule = compileRules(config);
  const metrics = new NodeMetrics();
  const server = new Server(config.tls);
  const node = createNode(config, rule, { sockets: server, metrics, log }, extensions);
  const heartbeats = createHeartbeats(config, metrics);
  const metricsServer = config.metrics.port === null ? null : new Server(config.tls);
  const servers = metricsServer === null ? [server] : [server, metricsServer];
  const { windowMs } = config.drain;
  const shutdown = new Shutdown({ node, servers, heartbeats, windowMs, scheduler: systemScheduler, log });
  const gate = createAdmissionGate(config, node, shutdown, log);
  const authenticator = createAuthenticator(config, log);
  const mustAuthenticate = authenticator !== null && !config.auth.anonymous;
  const commands = createCommands(rule, { node, gate, authenticator, log });
  const context = connectionContext(config, { node, commands, mustAuthenticate, metrics, log });
  return { node, server, metricsServer, heartbeats, authenticator, context, shutdown, gate, metrics, log };
}

function createNode(
  config: Config,
  rule: RuleOf,
  parts: { readonly sockets: Server; readonly metrics: NodeMetrics; readonly log: Logger },
  extensions: NodeExtensions,
): BrokerNode {
  const nodeId = randomId();
  const forBackplane = { nodeId, config, log: parts.log };
  return new BrokerNode({
    ...parts,
    nodeId,
    backplane: extensions.backplane?.(forBackplane) ?? createBackplane(forBackplane, parts.metrics.backplane),
    rule,
    limits: config.limits,
    detailedMembers: config.presence.detailedMembers,
    dataBytesPerSecond: config.presence.dataBytesPerSecond,
    scheduler: systemScheduler,
  });
}

function createHeartbeats(config: Config, metrics: NodeMetrics): Heartbeats<Connection> {
  return new Heartbeats<Connection>({
    intervalMs: config.heartbeat.intervalMs,
    scheduler: systemScheduler,
    onRoundTrip: (milliseconds) => metrics.connections.heartbeatRoundTrip.observe(milliseconds / 1000),
  });
}

function createCommands(
  rule: RuleOf,
  { node, gate, authenticator, log }: Pick<NodeParts, 'node' | 'gate' | 'authenticator' | 'log'>,
): NodeParts['context']['commands'] {
  return clientCommands({
    services: node,
    access: rule,
    authenticator,
    identified: (connection, identity) => {
      gate.pendingAuth.remove(connection);
      node.identified(connection, identity);
    },
    log,
  });
}
