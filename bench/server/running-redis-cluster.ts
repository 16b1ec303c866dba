/** A Redis Cluster of masters alone for the bench, without persistence. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { processCpuUs } from '../system/cpu.ts';
import { freePort, PinnedProcess } from '../system/pinned.ts';

const run = promisify(execFile);
const SLOTS = 16_384;
const START_MS = 30_000;

export class RunningRedisCluster {
  readonly #masters: PinnedProcess[] = [];
  readonly #dirs: string[] = [];

  /** All masters on one core; null: any. Resolves when they serve all slots. */
  static async start(masters: number, core: number | null): Promise<RunningRedisCluster> {
    const cluster = new RunningRedisCluster();
    try {
      const busPorts: number[] = [];
      for (let i = 0; i < masters; i++) busPorts.push(await cluster.#startOne(core));
      await cluster.#join(busPorts);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get url(): string {
    return this.#masters.map(({ port }) => `redis://127.0.0.1:${port}`).join(',');
  }

  get cpusUs(): number[] {
    return this.#masters.map(({ pid }) => processCpuUs(pid));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#masters.map((master) => master.stop()));
    await Promise.all(this.#dirs.map((dir) => rm(dir, { recursive: true, force: true })));
  }

  async #startOne(core: number | null): Promise<number> {
    const dir = await mkdtemp(join(tmpdir(), 'roomcast-bench-'));
    this.#dirs.push(dir);
    const busPort = await freePort();
    const plain = ['--bind', '127.0.0.1', '--save', '', '--dir', dir];
    const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
    const command = (port: number) => ['redis-server', '--port', String(port), ...plain, ...cluster];
    this.#masters.push(await PinnedProcess.start(core, command));
    return busPort;
  }

  async #join(busPorts: readonly number[]): Promise<void> {
    const [first, ...others] = this.#masters;
    const share = SLOTS / this.#masters.length;
    for (const [i, master] of this.#masters.entries()) {
      await ask(master, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      const last = Math.round((i + 1) * share) - 1;
      await ask(master, 'CLUSTER', 'ADDSLOTSRANGE', Math.round(i * share), last);
    }
    for (const [i, other] of others.entries()) {
      await ask(first!, 'CLUSTER', 'MEET', '127.0.0.1', other.port, busPorts[i + 1]!);
    }
    const deadlineMs = performance.now() + START_MS;
    for (const master of this.#masters) {
      while (!(await serves(master))) {
        if (performance.now() > deadlineMs) throw new Error('the Redis Cluster does not serve all slots');
        await sleep(50);
      }
    }
  }
}

async function serves(master: PinnedProcess): Promise<boolean> {
  const info = await ask(master, 'CLUSTER', 'INFO');
  return info.includes('cluster_state:ok') && info.includes(`cluster_slots_assigned:${SLOTS}`);
}

async function ask({ port }: PinnedProcess, ...command: readonly (string | number)[]): Promise<string> {
  const { stdout } = await run('redis-cli', ['-e', '-p', String(port), ...command.map(String)]);
  return stdout;
}
