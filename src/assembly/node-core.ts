import type { Authenticator } from '../auth/identity.ts';
import { TokenGate, type TokenOutcome } from '../auth/token-gate.ts';
import type { Backplane } from '../backplane/backplane.ts';
import type { BackplaneMetrics } from '../backplane/metrics.ts';
import type { Config } from '../config/config.ts';
import type { RoomRule } from '../config/room-rule.ts';
import { compileRules } from '../config/rules.ts';
import { clientCommands } from '../connection/commands.ts';
import type { Connection } from '../connection/connection.ts';
import type { CommandTable, ConnectionContext } from '../connection/context.ts';
import { Heartbeats } from '../connection/heartbeats.ts';
import { PendingAuth } from '../connection/pending-auth.ts';
import type { Fanout } from '../connection/socket.ts';
import { NodeMetrics } from '../metrics/node-metrics.ts';
import { BrokerNode } from '../node/broker-node.ts';
import { Connections } from '../node/connections.ts';
import { randomId } from '../util/ids.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler } from '../util/scheduler.ts';
import { connectionContext } from './connection-context.ts';

/** A node without a way in: no sockets, no HTTP. */
export interface NodeCore {
  readonly node: BrokerNode;
  readonly connections: Connections;
  readonly heartbeats: Heartbeats<Connection>;
  readonly pendingAuth: PendingAuth;
  /** What every way in asks about tokens; null if no authentication is configured. */
  readonly authenticator: Authenticator | null;
  readonly context: ConnectionContext<Connection>;
  readonly metrics: NodeMetrics;
}

/** What a node is given by the program that it runs in. */
export interface NodeCoreParts {
  readonly sockets: Fanout;
  readonly scheduler: Scheduler;
  /** Null if no authentication is configured. */
  readonly authenticator: Authenticator | null;
  /** Makes the backplane of a node with this id. Called once. */
  readonly backplane: (nodeId: string, metrics: BackplaneMetrics) => Backplane;
  /** Of one user; 0: no limit. Default: as configured, or none. */
  readonly connectionsPerUser?: number;
  /** See `TokenGate`. */
  readonly sparesAddress?: (addressKey: string) => boolean;
  readonly log: Logger;
}

/** Builds the parts of a node that do not depend on how clients reach it. Nothing is started yet. */
export function createNodeCore(config: Config, parts: NodeCoreParts): NodeCore {
  const { scheduler, log } = parts;
  const rule = compileRules(config);
  const metrics = new NodeMetrics();
  const node = createNode(config, rule, metrics, parts);
  const authenticator = createGate(config, metrics, node, parts);
  const heartbeats = createHeartbeats(config, metrics, scheduler);
  const pendingAuth = new PendingAuth(config.websocket.authTimeoutMs, scheduler);
  const commands = createCommands(rule, { node, pendingAuth, authenticator, log });
  const mustAuthenticate = authenticator !== null && !config.auth.anonymous;
  const shared = { node, commands, mustAuthenticate, clock: scheduler, metrics, log };
  const context = connectionContext(config, shared);
  const connections = new Connections({ node, context, heartbeats, pendingAuth });
  return { node, connections, heartbeats, pendingAuth, authenticator, context, metrics };
}

type RuleOf = (room: string) => RoomRule;

function createNode(
  config: Config,
  rule: RuleOf,
  metrics: NodeMetrics,
  {
    sockets,
    scheduler,
    backplane,
    connectionsPerUser = config.limits.connectionsPerUser ?? 0,
    log,
  }: NodeCoreParts,
): BrokerNode {
  const nodeId = randomId();
  return new BrokerNode({
    nodeId,
    backplane: backplane(nodeId, metrics.backplane),
    sockets,
    rule,
    limits: { ...config.limits, connectionsPerUser },
    detailedMembers: config.presence.detailedMembers,
    dataBytesPerSecond: config.presence.dataBytesPerSecond,
    metrics,
    scheduler,
    log,
  });
}

function createGate(
  { auth: { refusalsPerSecond } }: Config,
  { tokens }: NodeMetrics,
  { revocations }: BrokerNode,
  { authenticator, scheduler, sparesAddress }: NodeCoreParts,
): Authenticator | null {
  if (authenticator === null) return null;
  const outcome = (outcome: TokenOutcome) => tokens.checks[outcome]++;
  const spares = sparesAddress && { spares: sparesAddress };
  return new TokenGate({ authenticator, revocations, refusalsPerSecond, ...spares, scheduler, outcome });
}

function createHeartbeats(
  config: Config,
  metrics: NodeMetrics,
  scheduler: Scheduler,
): Heartbeats<Connection> {
  return new Heartbeats<Connection>({
    intervalMs: config.heartbeat.intervalMs,
    scheduler,
    onRoundTrip: (milliseconds) => metrics.connections.heartbeatRoundTrip.observe(milliseconds / 1000),
  });
}

function createCommands(
  rule: RuleOf,
  {
    node,
    pendingAuth,
    authenticator,
    log,
  }: Pick<NodeCore, 'node' | 'pendingAuth' | 'authenticator'> & Pick<NodeCoreParts, 'log'>,
): CommandTable<Connection> {
  return clientCommands({
    services: node,
    access: rule,
    keptOut: node.keptOut,
    authenticator,
    userFull: (user) => node.userFull(user),
    identified: (connection, identity) => {
      pendingAuth.remove(connection);
      node.identified(connection, identity);
    },
    log,
  });
}
