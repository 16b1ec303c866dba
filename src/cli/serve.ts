import type { Config } from '../config/config.ts';
import type { Logger } from '../util/log.ts';
import { type RunningNode, startNode } from './start-node.ts';

/** Starts a node and ties its end to the signals of the process. Resolves when it listens. */
export async function serve(config: Config, log: Logger): Promise<void> {
  const node = await startNode(config, log);
  const backplane = config.redis.url === null ? 'memory' : 'redis';
  const { id, port, url } = node;
  log.info({ event: 'listening', node: id, port, url, backplane, demo: config.demo }, 'listening');
  endOnSignals(node, log);
}

/** The first signal ends the node in order, a second one at once. */
function endOnSignals(node: RunningNode, log: Logger): void {
  let isEnding = false;
  const end = (signal: NodeJS.Signals): void => {
    if (isEnding) process.exit(1);
    isEnding = true;
    log.info({ signal }, 'stopping');
    node.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error }, 'the node did not stop in order');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}
