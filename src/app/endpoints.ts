import type { Config } from '../config/config.ts';
import { createRegistry } from '../metrics/registry.ts';
import type { AddressLimits } from '../transport/address-limits.ts';
import { ClientAddresses } from '../transport/client-address.ts';
import { RequestLimits } from '../transport/http/request-limits.ts';
import type { HttpOptions, HttpParts } from '../transport/http/routes.ts';
import { Scrapes } from '../transport/http/scrapes.ts';
import { ANSWER_HEADERS, HTTPS_ONLY } from '../transport/http/security-headers.ts';
import { PeerSockets } from '../transport/peer-sockets.ts';
import { ProxyWarning } from '../transport/proxy-warning.ts';
import { UWS_VERSION } from '../transport/uws.ts';
import { systemClock } from '../util/clock.ts';
import { systemScheduler } from '../util/scheduler.ts';
import type { NodeParts } from './node-parts.ts';
import { packageVersion } from './package-version.ts';
import { samples } from './samples.ts';

/** Gives the servers their WebSocket endpoint and HTTP routes. Called once, before they listen. */
export function registerEndpoints(config: Config, parts: NodeParts): void {
  const { node, server, metricsServer, connections, authenticator, context, gate } = parts;
  const { admission, descriptors, addressLimits } = gate;
  const addresses = new ClientAddresses(config.trustProxy, config.proxyProtocol);
  const proxyWarning = new ProxyWarning(addresses, parts.log);
  const limits = requestLimits(config, addressLimits);
  const sockets = new PeerSockets(addresses, addressLimits, systemClock);
  const http = { ...httpOptions(config, parts), ...httpParts(config, parts, addresses), limits, sockets };
  const ws = {
    ...{ node, context, connections, authenticator, addresses, admission, descriptors, sockets },
    proxyWarning,
    allowedOrigins: config.allowedOrigins,
    backpressureBytes: config.websocket.backpressureBytes,
  };
  server.register(ws, http);
  metricsServer?.registerMetrics(http, descriptors);
}

function requestLimits({ limits }: Config, addresses: AddressLimits): RequestLimits {
  return new RequestLimits({
    perKeyPerSecond: limits.apiKeyRequestsPerSecond,
    perKeyBurst: limits.apiKeyRequestBurst,
    addresses,
    clock: systemClock,
  });
}

function httpOptions(config: Config, { metricsServer, access }: NodeParts): HttpOptions {
  return {
    ...access,
    servesMetrics: metricsServer === null,
    bodyBytes: config.limits.bodyBytes,
    unfinishedBodyBytes: config.limits.unfinishedBodyBytes,
    maxPayloadBytes: config.websocket.maxPayloadBytes,
    servesDemo: config.demo,
    wsPath: config.websocket.path,
  };
}

function httpParts(
  config: Config,
  parts: NodeParts,
  addresses: ClientAddresses,
): Omit<HttpParts, 'clientRoutes' | 'limits' | 'sockets'> {
  const { node, metrics, shutdown, log } = parts;
  return {
    ...{ node, metrics, log, addresses },
    // Not while developing: it would hold for whatever else this machine serves at localhost.
    answerHeaders: { ...ANSWER_HEADERS, ...(config.tls !== null && config.production ? HTTPS_ONLY : {}) },
    scrapes: createScrapes(config, parts),
    notReady: () => (shutdown.isRunning ? 'the node is shutting down' : node.status().reason),
    degraded: () => node.status().degraded ?? [],
  };
}

function createScrapes(config: Config, parts: NodeParts): Scrapes {
  const build = { version: packageVersion(), uws: UWS_VERSION };
  const registry = createRegistry(parts.metrics, samples(parts), build);
  return new Scrapes({
    perSecond: config.metrics.rendersPerSecond,
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    scheduler: systemScheduler,
  });
}
