import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { codecCalls } from '../../src/protocol/calls.ts';
import { PinnedProcess } from '../system/pinned.ts';

/** What a node has done so far. */
export interface Counts extends Readonly<typeof codecCalls> {
  /** Bytes of the JavaScript heap in use: what was allocated, as long as no collection ran. */
  readonly heapUsed: number;
  readonly collections: number;
  /** System calls that send to WebSocket peers; NaN without `strace`. */
  readonly sends: number;
  /** Commands to Redis with a hundred arguments or more: calls that commit many rooms. NaN without `strace`. */
  readonly commits: number;
}

const ANSWER_MS = 10_000;
/**
 * A young generation large enough that no collection runs while a few thousand messages pass, nor when the
 * node is idle.
 */
const HEAP = ['--max-semi-space-size=256', '--min-semi-space-size=256', '--no-memory-reducer'];
/** Work on a timer is not part of a message's cost. */
const QUIET = {
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '0',
  ROOMCAST_LOG_LEVEL: 'warn',
  ROOMCAST_HEARTBEAT_INTERVAL_MS: '300000',
  ROOMCAST_PRESENCE_LEASE_MS: '60000',
};

/** Whether system calls can be counted here: `strace` may be missing, or not permitted. */
export function canTrace(): boolean {
  try {
    execFileSync('strace', ['-D', '-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A node in its own process, as users run it, that reports what it did. */
export class CountedNode {
  readonly #process: PinnedProcess;
  readonly #dir: string;
  readonly #isTraced: boolean;

  private constructor(process: PinnedProcess, dir: string, isTraced: boolean) {
    this.#process = process;
    this.#dir = dir;
    this.#isTraced = isTraced;
  }

  /** `root`: the checkout, built. `redisUrl` null: on the memory backplane. */
  static async start(root: string, redisUrl: string | null): Promise<CountedNode> {
    const dir = await mkdtemp(join(tmpdir(), 'roomcast-gate-'));
    const isTraced = canTrace();
    // `-D`: the node is our child and strace watches it, so that signals and the exit reach the node.
    const trace = [
      'strace',
      '-D',
      '-f',
      // Only the calls below stop the node, instead of each.
      '--seccomp-bpf',
      '-qq',
      '-yy',
      '-s',
      '16',
      '-e',
      'trace=sendto,write,writev',
      '-o',
      `${dir}/calls`,
    ];
    const redis = redisUrl === null ? [] : ['--redis', redisUrl];
    const started = await PinnedProcess.start(
      null,
      (port) => [
        ...(isTraced ? trace : []),
        process.execPath,
        ...HEAP,
        '--import',
        pathToFileURL(join(root, 'bench/gate/probe.mjs')).href,
        join(root, 'dist/main.js'),
        'serve',
        '--port',
        String(port),
        ...redis,
      ],
      {
        PATH: process.env.PATH,
        PROBE_FILE: join(dir, 'probe'),
        PROBE_CALLS: pathToFileURL(join(root, 'dist/protocol/calls.js')).href,
        ...QUIET,
      },
    );
    return new CountedNode(started, dir, isTraced);
  }

  get port(): number {
    return this.#process.port;
  }

  /** Rejects when the node does not answer. */
  async counts(): Promise<Counts> {
    const file = join(this.#dir, 'probe');
    rmSync(file, { force: true });
    process.kill(this.#process.pid, 'SIGUSR2');
    const deadline = performance.now() + ANSWER_MS;
    while (!existsSync(file)) {
      if (performance.now() > deadline) throw new Error(`the node does not answer: ${this.#process.output}`);
      await sleep(5);
    }
    const probed = JSON.parse(readFileSync(file, 'utf8')) as Omit<Counts, 'sends' | 'commits'>;
    return { ...probed, ...this.#systemCalls() };
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /**
   * strace writes a line for each call, at once. A socket of uWebSockets.js is sent to; a socket of Node, to
   * Redis, is written to. Not every write counts: their number depends on time, as nodes probe their links,
   * and on full buffers.
   */
  #systemCalls(): { sends: number; commits: number } {
    if (!this.#isTraced) return { sends: Number.NaN, commits: Number.NaN };
    const lines = readFileSync(join(this.#dir, 'calls'), 'utf8');
    return {
      sends: lines.match(/ sendto\(/g)?.length ?? 0,
      commits: lines.match(/ writev?\(\d+<TCP[^"]*"\*\d{3,}\\r/g)?.length ?? 0,
    };
  }
}
