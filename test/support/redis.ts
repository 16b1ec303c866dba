/** A real `redis-server` of the test's own, in a directory of its own, that can be stopped, frozen and killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { noteProcess } from './leftovers.ts';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

/** Settings as in redis.conf, for example `{ appendonly: 'yes' }`. */
export type RedisSettings = Readonly<Record<string, string>>;

export interface RedisExtras {
  /** Commands that it is not to know: `rename-command <name> ""`. */
  readonly renamed?: readonly string[];
  /** Whether it is a Sentinel. */
  readonly sentinel?: boolean;
  /** The folder for its files. Default: that for temporary ones. */
  readonly folder?: string;
}

/** Path of the server: another one than Redis, such as a `valkey-server`, may be named. */
export const { REDIS_SERVER = 'redis-server' } = process.env;

/** Those that run: none outlives the test process, whatever happens to it. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class RedisServer {
  readonly port: number;
  readonly #dir: string;
  readonly #settings: RedisSettings;
  readonly #extras: RedisExtras;
  #process: ChildProcess | null = null;
  #client: Redis | null = null;

  private constructor(port: number, dir: string, settings: RedisSettings, extras: RedisExtras) {
    this.port = port;
    this.#dir = dir;
    this.#settings = settings;
    this.#extras = extras;
  }

  /** Resolves when the server answers. Nothing is saved to disk unless the settings say so. */
  static async start(settings: RedisSettings = {}, extras: RedisExtras = {}): Promise<RedisServer> {
    const dir = await mkdtemp(join(extras.folder ?? tmpdir(), 'roomcast-redis-'));
    const saving = extras.sentinel === true ? {} : { save: '' };
    const server = new RedisServer(await freePort(), dir, { ...saving, ...settings }, extras);
    await server.#spawn();
    return server;
  }

  /** A Sentinel that watches nothing. */
  static startSentinel(): Promise<RedisServer> {
    return RedisServer.start({}, { sentinel: true });
  }

  get url(): string {
    const { requirepass } = this.#settings;
    const login = requirepass === undefined ? '' : `:${encodeURIComponent(requirepass)}@`;
    return `redis://${login}127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('redis-server does not run');
    return this.#process.pid;
  }

  /** A client for the test's own questions, made at first use. */
  get client(): Redis {
    this.#client ??= new Redis(this.url, { protocol: 2, replyMapping: 'legacy', retryStrategy: () => 20 }).on(
      'error',
      ignoreOutage,
    );
    return this.#client;
  }

  /** A field of INFO, as text. */
  async info(section: string, field: string): Promise<string | undefined> {
    const text = await this.client.info(section);
    return new RegExp(`^${field}:(.*)$`, 'm').exec(text)?.[1]?.trim();
  }

  /** Calls of a command so far. */
  async calls(command: string): Promise<number> {
    const stats = (await this.info('commandstats', `cmdstat_${command}`)) ?? '';
    return Number(/calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }

  /** Stops it as an operator would: what it is set to save is saved. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Runs it again after `stop` or `kill`, or stops it first: same port, same directory. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#spawn();
  }

  /** The process stops where it stands: connections stay open and nothing is answered. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Has it try to save a snapshot, and fail: a directory has the name of its file. */
  async breakSnapshots(): Promise<void> {
    const path = join(this.#dir, 'dump.rdb');
    await rm(path, { force: true });
    await mkdir(join(path, 'in the way'), { recursive: true });
    await this.client.bgsave();
  }

  /** Ends everything and removes the directory. Works on a frozen server too. */
  async dispose(): Promise<void> {
    this.#client?.disconnect();
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #spawn(): Promise<void> {
    const settings = { port: String(this.port), bind: '127.0.0.1', dir: this.#dir, ...this.#settings };
    const { renamed = [], sentinel = false } = this.#extras;
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    for (const command of renamed) args.push('--rename-command', command, '');
    if (sentinel) args.unshift(await this.#emptyFile(), '--sentinel');
    const child = spawn(REDIS_SERVER, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output = (output + data.toString()).slice(-4000);
    });
    this.#process = child;
    if (child.pid !== undefined) noteProcess(child.pid, REDIS_SERVER);
    running.add(child);
    child.once('exit', () => running.delete(child));
    const failed = once(child, 'exit').then(() =>
      Promise.reject(new Error(`${REDIS_SERVER} ended: ${output}`)),
    );
    failed.catch(ignoreOutage);
    await Promise.race([failed, waitFor(() => this.#answers(), { for: 'redis-server to answer' })]);
  }

  /** A Sentinel has to have a file that it can write to. */
  async #emptyFile(): Promise<string> {
    const path = join(this.#dir, 'sentinel.conf');
    await writeFile(path, '');
    return path;
  }

  async #answers(): Promise<boolean> {
    const probe = new Redis(this.url, {
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
    });
    probe.on('error', ignoreOutage);
    try {
      await probe.connect();
      return (await probe.ping()) === 'PONG';
    } finally {
      probe.disconnect();
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

function ignoreOutage(): void {
  // Outages are what these tests make.
}
