import type { Config } from '../config/config.ts';
import type { NodeParts } from './node-parts.ts';

/** Where a node listens. */
export interface Addresses {
  /** The bound port. */
  readonly port: number;
  readonly url: string;
  /** URL of the metrics if they have their own address; else null. */
  readonly metricsUrl: string | null;
}

/**
 * Binds the metrics first: a node is announced when clients can connect. Closes the node if it cannot bind an
 * address.
 */
export async function listen(
  config: Config,
  { node, server, metricsServer }: Pick<NodeParts, 'node' | 'server' | 'metricsServer'>,
): Promise<Addresses> {
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

/** How a person on this machine reaches a node that listens on `host`. */
function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
