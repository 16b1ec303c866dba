import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processCpuUs } from '../system/cpu.ts';
import { PinnedProcess } from '../system/pinned.ts';
import type { Contender } from './contender.ts';

/** Which core runs what. Redis shares the driver's: it must not take time from the server under test. */
export interface Cores {
  readonly server: number;
  readonly redis: number;
  readonly drivers: readonly number[];
}

export interface ServerOptions {
  readonly cores: Cores;
  /** The built broker. */
  readonly roomcastMain: string;
  /** Where each server writes a CPU profile when it ends, or null. */
  readonly profileDir: string | null;
}

/** A server under test, with a Redis of its own where it uses one. */
export class RunningServer {
  readonly port: number;
  readonly #server: PinnedProcess;
  readonly #redis: RunningRedis | null;

  private constructor(server: PinnedProcess, redis: RunningRedis | null) {
    this.port = server.port;
    this.#server = server;
    this.#redis = redis;
  }

  /** Resolves when it listens. */
  static async start(contender: Contender, options: ServerOptions): Promise<RunningServer> {
    const { cores, roomcastMain, profileDir } = options;
    const redis = contender.usesRedis ? await RunningRedis.start(cores.redis) : null;
    const profiling = profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    try {
      const server = await PinnedProcess.start(
        cores.server,
        (port) => [
          process.execPath,
          ...profiling,
          ...contender.arguments({ port, redisUrl: redis?.url ?? '', roomcastMain }),
        ],
        { PATH: process.env.PATH, HOME: process.env.HOME, ...contender.env },
      );
      return new RunningServer(server, redis);
    } catch (error) {
      await redis?.stop();
      throw error;
    }
  }

  get cpuUs(): number {
    return processCpuUs(this.#server.pid);
  }

  /** 0 where there is no Redis. */
  get redisCpuUs(): number {
    return this.#redis === null ? 0 : this.#redis.cpuUs;
  }

  /** What the server printed last: at its log level, what went wrong. */
  get output(): string {
    return this.#server.output;
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#redis?.stop();
  }
}

class RunningRedis {
  readonly #process: PinnedProcess;
  readonly #dir: string;

  private constructor(process: PinnedProcess, dir: string) {
    this.#process = process;
    this.#dir = dir;
  }

  static async start(core: number): Promise<RunningRedis> {
    const dir = await mkdtemp(join(tmpdir(), 'roomcast-bench-'));
    const settings = ['--bind', '127.0.0.1', '--save', '', '--dir', dir];
    const process = await PinnedProcess.start(core, (port) => [
      'redis-server',
      '--port',
      String(port),
      ...settings,
    ]);
    return new RunningRedis(process, dir);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#process.port}`;
  }

  get cpuUs(): number {
    return processCpuUs(this.#process.pid);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
