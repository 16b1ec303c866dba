import { type RunningNode, startNode } from '../app/start-node.ts';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import type { Logger } from '../util/log.ts';

const hasTerminal = process.stdout.isTTY === true;

/**
 * Starts a node, stops it on the process's signals, and has it reload on SIGHUP what `read` returns. Resolves when it
 * listens.
 */
export async function serve(config: Config, log: Logger, read: () => LoadResult): Promise<void> {
  // First: the first process of a container has no default handlers, and a node may wait for Redis here.
  const signals = new EndOnSignals(log);
  const reloads = new ReloadOnSignal(read, log);
  const node = await startNode(config, log);
  signals.node = node;
  reloads.started(node);
  const backplane = config.redis.url === null ? 'memory' : 'redis';
  const { id, port, url, metricsUrl } = node;
  const metrics = metricsUrl === null ? {} : { metrics: metricsUrl };
  log.info(
    { event: 'listening', node: id, port, url, ...metrics, backplane, demo: config.demo },
    'listening',
  );
}

/** SIGHUP reads the settings again. The default of the system is to end the process, so it is caught from the beginning. */
class ReloadOnSignal {
  readonly #read: () => LoadResult;
  readonly #log: Logger;
  #node: RunningNode | null = null;
  #isDue = false;

  constructor(read: () => LoadResult, log: Logger) {
    this.#read = read;
    this.#log = log;
    if (!hasTerminal) process.on('SIGHUP', this.#reload);
  }

  /** What came while the node started is done now: it may have read the settings before they changed. */
  started(node: RunningNode): void {
    this.#node = node;
    if (this.#isDue) this.#reload();
  }

  readonly #reload = (): void => {
    this.#isDue = this.#node === null;
    if (this.#node === null) return;
    const result = this.#read();
    if ('config' in result) {
      const isComplete = this.#node.reload(result.config);
      return this.#log.info({ event: 'reloaded', isComplete }, 'read the settings again');
    }
    // Nothing is taken from settings that are wrong in part: half of a change may be worse than none.
    const { problems } = result;
    this.#log.error(
      { event: 'not reloaded', problems },
      'the settings are wrong: the node keeps what it had',
    );
  };
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
    // A terminal that is closed: nobody would see or stop the node any more.
    if (hasTerminal) process.on('SIGHUP', this.#end);
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
