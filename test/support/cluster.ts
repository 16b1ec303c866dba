/** Nodes on one Redis, each on a port that it keeps through its restarts. */
import { readFile } from 'node:fs/promises';
import { readMetric } from './metrics.ts';
import { NodeProcess } from './node-process.ts';
import { freePort } from './ports.ts';

export interface ClusterOptions {
  /** URL of Redis, or one for each node. */
  readonly redis: string | readonly string[];
  /** Default 3. */
  readonly nodes?: number;
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Publishers here send what a crowd would; and history reaches back to whatever a test does in between. */
const ENV = {
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
  ROOMCAST_HISTORY_MESSAGES: '50000',
  ROOMCAST_HISTORY_BYTES: '0',
  ROOMCAST_LOG_LEVEL: 'info',
};

export interface Readiness {
  readonly status: number;
  readonly reason: string | null;
}

export class Cluster {
  /** Those that run; null where one was ended. */
  readonly nodes: (NodeProcess | null)[];
  /** And those that ended. */
  readonly #all: NodeProcess[] = [];
  readonly #ports: readonly number[];
  readonly #options: ClusterOptions;

  private constructor(ports: readonly number[], options: ClusterOptions) {
    this.#ports = ports;
    this.#options = options;
    this.nodes = ports.map(() => null);
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const ports = await Promise.all(Array.from({ length: options.nodes ?? 3 }, () => freePort()));
    const cluster = new Cluster(ports, options);
    await Promise.all(ports.map((_, i) => cluster.run(i)));
    return cluster;
  }

  /** WebSocket URLs of all nodes, also of those that do not run. */
  get urls(): string[] {
    return this.#ports.map((port) => `ws://127.0.0.1:${port}/ws`);
  }

  node(i: number): NodeProcess {
    const node = this.nodes[i];
    if (!node) throw new Error(`node ${i} does not run`);
    return node;
  }

  /** Starts a node that does not run. */
  async run(i: number): Promise<void> {
    const { redis, env = {} } = this.#options;
    const url = typeof redis === 'string' ? redis : redis[i]!;
    const flags = ['--redis', url, '--port', String(this.#ports[i]!)];
    const node = await NodeProcess.start({ flags, env: { ...ENV, ...env }, startTimeoutMs: 30_000 });
    this.nodes[i] = node;
    this.#all.push(node);
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(i: number): Promise<number | null> {
    const node = this.node(i);
    this.nodes[i] = null;
    return node.stop(30_000);
  }

  /** SIGKILL. */
  async kill(i: number): Promise<void> {
    const node = this.node(i);
    this.nodes[i] = null;
    await node.kill();
  }

  /** One line of a node's `/metrics`; 0 where it is not there. */
  async metric(i: number, series: string): Promise<number> {
    const answer = await fetch(`${this.node(i).url}/metrics`);
    return readMetric(await answer.text(), series) ?? 0;
  }

  /** Memory that a node has in use, in bytes. */
  async residentBytes(i: number): Promise<number> {
    const status = await readFile(`/proc/${this.node(i).pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Why rooms got new epochs, as nodes log it: that is what members are told of by `reset`. */
  get reasonsOfResets(): string[] {
    const records = this.#all.flatMap(({ log }) => log.filter(({ msg }) => msg?.includes('new epochs')));
    return records.map(({ msg, why }) => `${msg} (${String(why)})`);
  }

  /** What `/readyz` of a node says. */
  async readiness(i: number): Promise<Readiness> {
    const answer = await fetch(`${this.node(i).url}/readyz`);
    const { reason } = (await answer.json()) as { reason?: string };
    return { status: answer.status, reason: reason ?? null };
  }

  /** Ends all that run, those in trouble too. */
  async dispose(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node?.kill()));
  }
}
