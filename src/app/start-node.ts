import { createNodeCore } from '../assembly/node-core.ts';
import type { Config } from '../config/config.ts';
import { Server } from '../transport/server.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import { connectionLimits, createAdmissionGate, shareOf } from './admission-gate.ts';
import { createAuthenticator } from './authenticator.ts';
import { createBackplane } from './backplane.ts';
import { registerEndpoints } from './endpoints.ts';
import type { NodeExtensions } from './extensions.ts';
import { type Addresses, listen } from './listen.ts';
import type { NodeParts } from './node-parts.ts';
import { Shutdown } from './shutdown.ts';

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
  const server = new Server(config.tls);
  const tokens = createAuthenticator(config, log);
  const capacity = connectionLimits(config, log);
  const core = createNodeCore(config, {
    connectionsPerUser: config.limits.connectionsPerUser ?? shareOf(capacity.connections),
    sockets: server,
    scheduler: systemScheduler,
    authenticator: tokens,
    backplane: (nodeId, metrics) => {
      const parts = { nodeId, config, log };
      return extensions.backplane?.(parts) ?? createBackplane(parts, metrics);
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
  const gate = createAdmissionGate(config, capacity, core, shutdown, log);
  return { ...core, server, metricsServer, tokens, shutdown, gate, log };
}
