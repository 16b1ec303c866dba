import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processCpuUs } from '../system/cpu.ts';
import { PinnedProcess } from '../system/pinned.ts';

/** A separate Redis for the bench, without persistence. */
export class RunningRedis {
  readonly #process: PinnedProcess;
  readonly #dir: string;

  private constructor(process: PinnedProcess, dir: string) {
    this.#process = process;
    this.#dir = dir;
  }

  static async start(core: number | null): Promise<RunningRedis> {
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

  get cpusUs(): number[] {
    return [processCpuUs(this.#process.pid)];
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
