import { readFileSync } from 'node:fs';
import { tokenAuthenticator } from '../auth/authenticator.ts';
import type { Authenticator } from '../auth/identity.ts';
import type { Backplane } from '../backplane/backplane.ts';
import { MemoryBackplane } from '../backplane/memory/memory-backplane.ts';
import { RedisBackplane } from '../backplane/redis/redis-backplane.ts';
import type { Config } from '../config/config.ts';
import { compileRules } from '../config/rules.ts';
import { clientCommands } from '../connection/commands.ts';
import type { Connection } from '../connection/connection.ts';
import type { CommandTable, ConnectionContext } from '../connection/context.ts';
import { Heartbeats } from '../connection/heartbeats.ts';
import { NodeMetrics } from '../metrics/node-metrics.ts';
import { createRegistry } from '../metrics/registry.ts';
import { BrokerNode } from '../node/broker-node.ts';
import { Admission } from '../transport/admission.ts';
import { Server } from '../transport/server.ts';
import { UWS_VERSION } from '../transport/uws.ts';
import { systemClock } from '../util/clock.ts';
import { randomId } from '../util/ids.ts';
import type { Logger } from '../util/log.ts';
import { RateLimit } from '../util/rate-limit.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { packageVersion } from './package-version.ts';
import { readRedisTls } from './redis-tls.ts';
import { Shutdown } from './shutdown.ts';

/** A node that accepts connections. */
export interface RunningNode {
  readonly id: string;
  /** The port that was bound. */
  readonly port: number;
  readonly url: string;
  /** Stops accepting, says `bye`, closes, frees everything. May be called twice. */
  stop(): Promise<void>;
}

/** Commands that may wait while a connection's token is being checked. */
const MAX_HELD_COMMANDS = 1000;

/** What a backplane of your own is given. */
export interface BackplaneParts {
  /** Of this node: `ID_BYTES` ASCII characters, new at each start. */
  readonly nodeId: string;
  readonly config: Config;
  readonly log: Logger;
}

/** Parts of a node that a program may bring along. */
export interface NodeExtensions {
  /** Makes the backplane, in place of the one that the configuration names. Called once. */
  readonly backplane?: (parts: BackplaneParts) => Backplane;
}

/** Builds the parts of a node in order and starts it. Rejects with an error whose message says what to do. */
export async function startNode(
  config: Config,
  log: Logger,
  extensions: NodeExtensions = {},
): Promise<RunningNode> {
  const id = randomId();
  const metrics = new NodeMetrics();
  const server = new Server(config.tls);
  const backplane =
    extensions.backplane?.({ nodeId: id, config, log }) ?? createBackplane(config, id, metrics, log);
  const rule = compileRules(config);
  const node = new BrokerNode({
    nodeId: id,
    backplane,
    sockets: server,
    rule,
    limits: config.limits,
    detailedMembers: config.presence.detailedMembers,
    metrics,
    scheduler: systemScheduler,
    log,
  });
  const heartbeats = new Heartbeats<Connection>({
    intervalMs: config.heartbeat.intervalMs,
    scheduler: systemScheduler,
    onRoundTrip: (milliseconds) => metrics.connections.heartbeatRoundTrip.observe(milliseconds / 1000),
  });
  const authenticator = createAuthenticator(config, log);
  const commands = clientCommands({
    services: node,
    access: rule,
    authenticator,
    identified: (connection, identity) => node.identified(connection, identity),
    log,
  });
  const mustAuthenticate = authenticator !== null && !config.auth.anonymous;
  const context = connectionContext(config, { node, commands, mustAuthenticate, metrics, log });
  const { windowMs } = config.drain;
  const shutdown = new Shutdown({ node, server, heartbeats, windowMs, scheduler: systemScheduler, log });
  registerEndpoints(config, { node, server, heartbeats, authenticator, context, shutdown, metrics, log });
  await node.start();
  heartbeats.start();
  const port = await listen(server, node, config);
  const url = `${config.tls ? 'https' : 'http'}://${displayHost(config.host)}:${port}`;
  return { id, port, url, stop: () => shutdown.run() };
}

function createBackplane(config: Config, nodeId: string, metrics: NodeMetrics, log: Logger): Backplane {
  const { redis, presence, dedupWindowMs, metaTtlMs, acks } = config;
  const shared = { nodeId, dedupWindowMs, metaTtlMs, acksTtlMs: acks.ttlMs, clock: systemClock };
  if (redis.url === null) return new MemoryBackplane(shared);
  const { url, tls, ...rest } = redis;
  return new RedisBackplane({
    ...shared,
    ...rest,
    leaseMs: presence.leaseMs,
    url,
    metrics: metrics.backplane,
    log,
    // Options of TLS, even empty ones, would make the client speak it.
    ...(url.startsWith('rediss:') ? { tls: readRedisTls(tls) } : {}),
  });
}

function createAuthenticator(config: Config, log: Logger): Authenticator | null {
  const authenticator = tokenAuthenticator(config.auth);
  if (authenticator === null) {
    log.warn({}, 'no authentication is configured: anyone who reaches this node may join and publish');
  } else if (config.auth.anonymous) {
    log.info({}, 'connections without a token are admitted as anonymous (auth.anonymous)');
  }
  return authenticator;
}

interface ContextParts {
  readonly node: BrokerNode;
  readonly commands: CommandTable<Connection>;
  readonly mustAuthenticate: boolean;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

function connectionContext(config: Config, { node, ...parts }: ContextParts): ConnectionContext<Connection> {
  const { commandsPerSecond, commandBurst } = config.limits;
  return {
    ...parts,
    flushQueue: node.flushQueue,
    nodeId: node.nodeId,
    stalled: (connection) => node.stalled(connection),
    rateLimit: new RateLimit(commandsPerSecond, commandBurst),
    maxRefusals: Math.max(100, commandBurst),
    maxHeldCommands: MAX_HELD_COMMANDS,
    maxUnsentBytes: config.websocket.backpressureBytes,
    heartbeatMs: config.heartbeat.intervalMs,
    maxPayloadBytes: config.websocket.maxPayloadBytes,
    clock: systemClock,
  };
}

interface Parts {
  readonly node: BrokerNode;
  readonly server: Server;
  readonly heartbeats: Heartbeats<Connection>;
  readonly authenticator: Authenticator | null;
  readonly context: ConnectionContext<Connection>;
  readonly shutdown: Shutdown;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

function registerEndpoints(config: Config, parts: Parts): void {
  const { node, server, heartbeats, authenticator, context, shutdown, metrics, log } = parts;
  const registry = createRegistry(metrics, samples(node, shutdown), {
    version: packageVersion(),
    uws: UWS_VERSION,
  });
  const admission = new Admission({
    perSecond: config.acceptRate.perSecond,
    maxConnections: config.websocket.maxConnections,
    openConnections: () => node.hub.connectionCount,
    isShuttingDown: () => shutdown.isRunning,
    clock: systemClock,
  });
  const { backpressureBytes, authTimeoutMs, maxPayloadBytes, path } = config.websocket;
  server.register(
    {
      node,
      context,
      heartbeats,
      authenticator,
      allowedOrigins: config.allowedOrigins,
      trustProxy: config.trustProxy,
      backpressureBytes,
      authTimeoutMs,
      admission,
    },
    {
      node,
      metrics,
      log,
      apiKeys: config.apiKeys,
      production: config.production,
      bodyBytes: config.limits.bodyBytes,
      maxPayloadBytes,
      demoPage: config.demo ? demoPage() : null,
      wsPath: path,
      scrape: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
      notReady: () => (shutdown.isRunning ? 'the node is shutting down' : node.status().reason),
    },
  );
}

function samples(node: BrokerNode, shutdown: Shutdown): Parameters<typeof createRegistry>[1] {
  return {
    connections: () => {
      let json = 0;
      for (const connection of node.hub.connections()) if (connection.readsText) json++;
      return { json, msgpack: node.hub.connectionCount - json };
    },
    rooms: () => node.hub.roomCount,
    memberships: () => node.hub.membershipCount,
    catchingUp: () => node.catchingUp,
    backplaneReady: () => node.status().ready,
    draining: () => shutdown.isRunning,
  };
}

function demoPage(): string {
  return readFileSync(new URL('../transport/http/demo/index.html', import.meta.url), 'utf8');
}

async function listen(server: Server, node: BrokerNode, config: Config): Promise<number> {
  try {
    return await server.listen(config.host, config.port);
  } catch (error) {
    await node.close();
    throw error;
  }
}

/** Where a person on this machine finds a node that listens on `host`. */
function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
