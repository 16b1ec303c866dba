import type { Target } from '../../src/load/connection.ts';
import { processCpuUs } from '../system/cpu.ts';
import { processMemoryBytes } from '../system/memory.ts';
import { PinnedProcess } from '../system/pinned.ts';
import type { Contender } from './contender.ts';
import { RunningRedis } from './running-redis.ts';
import { RunningRedisCluster } from './running-redis-cluster.ts';

/** Which core runs what. Redis shares the driver's: it must not take time from the server under test. */
export interface Cores {
  readonly server: number;
  readonly redis: number;
  readonly drivers: readonly number[];
}

/** What a contender runs on. */
export interface ServerOptions {
  readonly cores: Cores;
  /** The built broker. */
  readonly roomcastMain: string;
  /** Where each server writes a CPU profile when it ends, or null. */
  readonly profileDir: string | null;
}

/** A server under test: one process or several, with its own Redis if it uses one. */
export class RunningServer {
  readonly #nodes: readonly PinnedProcess[];
  readonly #redis: RunningRedis | RunningRedisCluster | null;

  private constructor(nodes: readonly PinnedProcess[], redis: RunningRedis | RunningRedisCluster | null) {
    this.#nodes = nodes;
    this.#redis = redis;
  }

  /** Resolves when all nodes listen. */
  static async start(contender: Contender, options: ServerOptions): Promise<RunningServer> {
    const redis = await startRedis(contender, options.cores.redis);
    const nodes: PinnedProcess[] = [];
    try {
      for (let i = 0; i < (contender.nodes ?? 1); i++)
        nodes.push(await startNode(contender, options, redis?.url ?? ''));
      return new RunningServer(nodes, redis);
    } catch (error) {
      await Promise.all(nodes.map((node) => node.stop()));
      await redis?.stop();
      throw error;
    }
  }

  /** Whether all of its processes still run. */
  get isRunning(): boolean {
    return this.#nodes.every((node) => node.isRunning);
  }

  get targets(): Target[] {
    return this.#nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** User and system time of all nodes. */
  get cpuUs(): number {
    return this.#nodes.reduce((sum, { pid }) => sum + processCpuUs(pid), 0);
  }

  /** Of each master. Empty if there is no Redis. */
  get redisCpusUs(): number[] {
    return this.#redis === null ? [] : this.#redis.cpusUs;
  }

  /** Resident memory of all nodes. */
  get memoryBytes(): number {
    return this.#nodes.reduce((sum, { pid }) => sum + processMemoryBytes(pid), 0);
  }

  /** To all nodes. */
  signal(signal: NodeJS.Signals): void {
    for (const { pid } of this.#nodes) process.kill(pid, signal);
  }

  /** What the nodes printed last: at their log level, the errors. */
  get output(): string {
    return this.#nodes.map(({ output }) => output).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.#redis?.stop();
  }
}

async function startRedis(
  { usesRedis, redisMasters }: Contender,
  core: number,
): Promise<RunningRedis | RunningRedisCluster | null> {
  if (!usesRedis) return null;
  return redisMasters === undefined
    ? RunningRedis.start(core)
    : RunningRedisCluster.start(redisMasters, core);
}

function startNode(
  contender: Contender,
  { cores, roomcastMain, profileDir }: ServerOptions,
  redisUrl: string,
): Promise<PinnedProcess> {
  const profiling = profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...contender.env };
  return PinnedProcess.start(
    cores.server,
    (port) => {
      const [script, ...rest] = contender.arguments({ port, redisUrl, roomcastMain });
      const isNode = /\.[cm]?js$/.test(script!);
      return [...(isNode ? [process.execPath, ...profiling] : []), script!, ...rest];
    },
    env,
  );
}
