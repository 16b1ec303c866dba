import { type RunningNode, startNode } from '../app/start-node.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../util/log.ts';

/** Starts a node and stops it on the process's signals. Resolves when it listens. */
export async function serve(config: Config, log: Logger): Promise<void> {
  // First: the first process of a container has no default handlers, and a node may wait for Redis here.
  const signals = new EndOnSignals(log);
  const node = await startNode(config, log);
  signals.node = node;
  const backplane = config.redis.url === null ? 'memory' : 'redis';
  const { id, port, url, metricsUrl } = node;
  const metrics = metricsUrl === null ? {} : { metrics: metricsUrl };
  log.info(
    { event: 'listening', node: id, port, url, ...metrics, backplane, demo: config.demo },
    'listening',
  );
}

/**
 * The first signal stops the node in order, a second one at once, as does the first while there is no node
 * yet.
 */
class EndOnSignals {
  node: RunningNode | null = null;
  readonly #log: Logger;
  #isEnding = false;

  constructor(log: Logger) {
    this.#log = log;
    process.on('SIGTERM', this.#end);
    process.on('SIGINT', this.#end);
  }

  readonly #end = (signal: NodeJS.Signals): void => {
    if (this.#isEnding) process.exit(1);
    this.#isEnding = true;
    this.#log.info({ signal }, 'stopping');
    if (this.node === null) process.exit(0);
    this.node.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        this.#log.error({ error }, 'the node did not stop cleanly');
        process.exit(1);
      },
    );
  };
}
