import { createNodeCore } from '../assembly/node-core.ts';
import type { Config } from '../config/config.ts';
import { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { connectionLimits, createAddressLimits, createAdmissionGate, shareOf } from './admission-gate.ts';
import { createAuthenticator } from './authenticator.ts';
import { createBackplane } from './backplane.ts';
import { registerEndpoints } from './endpoints.ts';
import type { NodeExtensions } from './extensions.ts';
import { createHttpAccess } from './http-access.ts';
import { type Addresses, listen } from './listen.ts';
import type { NodeParts } from './node-parts.ts';
import { RedisTls } from './redis-tls.ts';
import { Reload, reloadables } from './reload.ts';
import { Shutdown } from './shutdown.ts';

/** A node that accepts connections. */
export interface RunningNode extends Addresses {
  readonly id: string;
  /**
   * Takes what a running node can replace: keys of tokens, of the HTTP API and of the metrics, and certificates. What it
   * cannot use it keeps as it was. Returns whether it now runs with all of `config`; the log says what it does not.
   */
  reload(config: Config): boolean;
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
  const reload = new Reload(reloadables(parts), config, () => parts.shutdown.isRunning, log);
  return {
    id: parts.node.nodeId,
    ...addresses,
    reload: (next) => reload.run(next),
    stop: () => parts.shutdown.run(),
  };
}

function buildParts(config: Config, log: Logger, extensions: NodeExtensions): NodeParts {
  const server = new Server(config.tls);
  const tokens = createAuthenticator(config, log);
  const { redis } = config;
  const redisTls = [redis.url, redis.sentinels].some((urls) => urls?.startsWith('rediss:'))
    ? new RedisTls(redis.tls)
    : null;
  const capacity = connectionLimits(config, log);
  const addressLimits = createAddressLimits(config, capacity, log);
  const core = createNodeCore(config, {
    sparesAddress: (key) => addressLimits.spares(key, 'auth.refusalsPerSecond'),
    connectionsPerUser: config.limits.connectionsPerUser ?? shareOf(capacity.connections),
    sockets: server,
    scheduler: systemScheduler,
    authenticator: tokens,
    backplane: (nodeId, metrics) => {
      const parts = { nodeId, config, log };
      return extensions.backplane?.(parts) ?? createBackplane(parts, metrics, redisTls);
    },
    log,
  });
  const metricsServer = config.metrics.port === null ? null : new Server(config.tls);
  const shutdown = new Shutdown({
    ...core,
    servers: metricsServer === null ? [server] : [server, metricsServer],
    windowMs: config.drain.windowMs,
    scheduler: systemScheduler,
    log,
  });
  const gate = createAdmissionGate(config, capacity, core, shutdown, addressLimits, log);
  const access = createHttpAccess(config, log);
  const own = { server, metricsServer, tokens, redisTls, access };
  return { ...core, ...own, shutdown, gate, log };
}
