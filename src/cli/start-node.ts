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
import { sendingLimits } from '../connection/sending-limits.ts';
import { NodeMetrics } from '../metrics/node-metrics.ts';
import { createRegistry } from '../metrics/registry.ts';
import { BrokerNode } from '../node/broker-node.ts';
import { Admission } from '../transport/admission.ts';
import { type Capacity, capacity } from '../transport/capacity.ts';
import { ClientAddresses } from '../transport/client-address.ts';
import { Descriptors } from '../transport/descriptors.ts';
import { type ApiGuardOptions, type ApiMode, apiMode } from '../transport/http/api-guard.ts';
import type { HttpOptions, HttpParts } from '../transport/http/routes.ts';
import { Scrapes } from '../transport/http/scrapes.ts';
import { Newcomers } from '../transport/newcomers.ts';
import { Server } from '../transport/server.ts';
import { UWS_VERSION } from '../transport/uws.ts';
import { systemClock } from '../util/clock.ts';
import { randomId } from '../util/ids.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { openFilesLimit } from './open-files-limit.ts';
import { packageVersion } from './package-version.ts';
import { readRedisTls } from './redis-tls.ts';
import { Shutdown } from './shutdown.ts';

/** A node that accepts connections. */
export interface RunningNode {
  readonly id: string;
  /** The port that was bound. */
  readonly port: number;
  readonly url: string;
  /** Of the metrics, where they have an address of their own; else null. */
  readonly metricsUrl: string | null;
  /** Stops accepting, says `bye`, closes, frees everything. May be called twice. */
  stop(): Promise<void>;
}

/** Commands that may wait while a connection's token is being checked. */
const MAX_HELD_COMMANDS = 1000;
/** In a message of a connection that has yet to present a token: room for one as long as the headers of an upgrade may be. */
const MAX_BYTES_BEFORE_AUTH = 32 * 1024;

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
  const { windowMs } = config.drain;
  const metricsServer = config.metrics.port === null ? null : new Server(config.tls);
  const servers = metricsServer === null ? [server] : [server, metricsServer];
  const shutdown = new Shutdown({ node, servers, heartbeats, windowMs, scheduler: systemScheduler, log });
  const gate = createGate(config, node, shutdown, log);
  const authenticator = createAuthenticator(config, log);
  const commands = clientCommands({
    services: node,
    access: rule,
    authenticator,
    identified: (connection, identity) => {
      gate.newcomers.remove(connection);
      node.identified(connection, identity);
    },
    log,
  });
  const mustAuthenticate = authenticator !== null && !config.auth.anonymous;
  const context = connectionContext(config, {
    node,
    commands,
    mustAuthenticate,
    metrics,
    log,
  });
  registerEndpoints(config, {
    node,
    server,
    metricsServer,
    heartbeats,
    authenticator,
    context,
    shutdown,
    gate,
    metrics,
    log,
  });
  await node.start();
  heartbeats.start();
  const addresses = await listen(node, config, server, metricsServer);
  return { id, ...addresses, stop: () => shutdown.run() };
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
  const authenticator = tokenAuthenticator(config.auth, { clock: systemClock, log });
  // Not awaited: a node whose key server is down starts, and answers `unavailable` until it is back.
  void authenticator?.prepare?.();
  if (authenticator === null) {
    log.warn({}, 'no authentication is configured: anyone who reaches this node may join and publish');
  } else if (config.auth.anonymous) {
    log.info({}, 'connections without a token are admitted as anonymous (auth.anonymous)');
  }
  return authenticator;
}

/** What decides whether one more connection may come. */
interface Gate {
  readonly capacity: Capacity;
  readonly admission: Admission;
  readonly newcomers: Newcomers;
  readonly descriptors: Descriptors;
}

function createGate(config: Config, node: BrokerNode, shutdown: Shutdown, log: Logger): Gate {
  const { maxConnections, authTimeoutMs } = config.websocket;
  const limits = capacity(config.websocket, openFilesLimit());
  if (limits.connections < maxConnections) {
    log.warn(
      { maxConnections, limit: limits.connections },
      `websocket.maxConnections is ${maxConnections}, but the limit on open files leaves ${limits.connections}: raise it (ulimit -n)`,
    );
  }
  const newcomers = new Newcomers(authTimeoutMs);
  const admission = new Admission({
    perSecond: config.acceptRate.perSecond,
    capacity: limits,
    openConnections: () => node.hub.connectionCount,
    unauthenticated: () => newcomers.count,
    isShuttingDown: () => shutdown.isRunning,
    clock: systemClock,
    log,
  });
  const descriptors = new Descriptors(limits.sockets, systemClock, log);
  return { capacity: limits, admission, newcomers, descriptors };
}

interface ContextParts {
  readonly node: BrokerNode;
  readonly commands: CommandTable<Connection>;
  readonly mustAuthenticate: boolean;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

function connectionContext(config: Config, { node, ...parts }: ContextParts): ConnectionContext<Connection> {
  const { maxPayloadBytes } = config.websocket;
  return {
    ...parts,
    flushQueue: node.flushQueue,
    turn: node.endOfTurn,
    nodeId: node.nodeId,
    stalled: (connection) => node.stalled(connection),
    limits: sendingLimits({ ...config.limits, maxPayloadBytes }),
    maxBytesBeforeAuth: Math.min(MAX_BYTES_BEFORE_AUTH, maxPayloadBytes),
    maxHeldCommands: MAX_HELD_COMMANDS,
    maxUnsentBytes: config.websocket.backpressureBytes,
    heartbeatMs: config.heartbeat.intervalMs,
    maxPayloadBytes,
    clock: systemClock,
  };
}

/** Says once who may use the HTTP API. */
function apiOptions({ apiKeys, production, auth }: Config, log: Logger): ApiGuardOptions {
  const authenticates = (auth.secret ?? auth.publicKeyFile ?? auth.jwksUrl) !== null;
  const options = { apiKeys, production, authenticates };
  const api = apiMode(options);
  log.info({ api }, API_MODES[api]);
  return options;
}

const API_MODES: Readonly<Record<ApiMode, string>> = {
  keys: 'the HTTP API asks for an API key',
  loopback: 'the HTTP API has no key: it answers requests from this machine only',
  off: 'the HTTP API is off: set ROOMCAST_API_KEYS to use it',
};

interface Parts {
  readonly node: BrokerNode;
  readonly server: Server;
  /** Serves the metrics where they have an address of their own. */
  readonly metricsServer: Server | null;
  readonly heartbeats: Heartbeats<Connection>;
  readonly authenticator: Authenticator | null;
  readonly context: ConnectionContext<Connection>;
  readonly shutdown: Shutdown;
  readonly gate: Gate;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

function registerEndpoints(config: Config, parts: Parts): void {
  const { node, server, metricsServer, heartbeats, authenticator, context, shutdown, gate, metrics, log } =
    parts;
  const { admission, newcomers, descriptors } = gate;
  const registry = createRegistry(metrics, samples(node, shutdown, gate), {
    version: packageVersion(),
    uws: UWS_VERSION,
  });
  const { backpressureBytes, maxPayloadBytes, path } = config.websocket;
  const addresses = new ClientAddresses(config.trustProxy);
  const http: HttpOptions & HttpParts = {
    ...{ node, metrics, log, addresses },
    ...apiOptions(config, log),
    servesMetrics: metricsServer === null,
    metricsKey: config.metrics.key,
    bodyBytes: config.limits.bodyBytes,
    maxPayloadBytes,
    demoPage: config.demo ? demoPage() : null,
    wsPath: path,
    scrapes: new Scrapes({
      perSecond: config.metrics.rendersPerSecond,
      render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
      nowMs: systemClock.nowMs,
    }),
    notReady: () => (shutdown.isRunning ? 'the node is shutting down' : node.status().reason),
  };
  server.register(
    {
      node,
      context,
      heartbeats,
      authenticator,
      allowedOrigins: config.allowedOrigins,
      addresses,
      backpressureBytes,
      admission,
      newcomers,
      descriptors,
    },
    http,
  );
  metricsServer?.registerMetrics(http, descriptors);
}

function samples(
  node: BrokerNode,
  shutdown: Shutdown,
  { capacity, newcomers }: Gate,
): Parameters<typeof createRegistry>[1] {
  return {
    connections: () => {
      let json = 0;
      for (const connection of node.hub.connections()) if (connection.readsText) json++;
      return { json, msgpack: node.hub.connectionCount - json };
    },
    unauthenticated: () => newcomers.count,
    connectionLimits: () => ({ all: capacity.connections, unauthenticated: capacity.unauthenticated }),
    rooms: () => node.hub.roomCount,
    memberships: () => node.hub.membershipCount,
    shortHistories: () => node.shortHistories,
    catchingUp: () => node.catchingUp,
    readsInFlight: () => node.reads.inFlight,
    readsWaiting: () => node.reads.waiting,
    backplaneReady: () => node.status().ready,
    draining: () => shutdown.isRunning,
  };
}

function demoPage(): string {
  return readFileSync(new URL('../transport/http/demo/index.html', import.meta.url), 'utf8');
}

type Listening = Pick<RunningNode, 'port' | 'url' | 'metricsUrl'>;

/** The metrics first: a node is announced when clients can come. */
async function listen(
  node: BrokerNode,
  config: Config,
  server: Server,
  metricsServer: Server | null,
): Promise<Listening> {
  const { host, port, metrics } = config;
  try {
    const metricsHost = metrics.host ?? host;
    const metricsPort = (await metricsServer?.listen(metricsHost, metrics.port ?? 0)) ?? null;
    const bound = await server.listen(host, port);
    const metricsUrl = metricsPort === null ? null : `${urlOf(config, metricsHost, metricsPort)}/metrics`;
    return { port: bound, url: urlOf(config, host, bound), metricsUrl };
  } catch (error) {
    metricsServer?.close();
    await node.close();
    throw error;
  }
}

function urlOf({ tls }: Config, host: string, port: number): string {
  return `${tls ? 'https' : 'http'}://${displayHost(host)}:${port}`;
}

/** Where a person on this machine finds a node that listens on `host`. */
function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
