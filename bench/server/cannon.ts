import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CannonPlan, Shot, Volley } from './autocannon-run.ts';

const SCRIPT = fileURLToPath(new URL('./autocannon-run.js', import.meta.url));

/** autocannon in its own process, pinned to a core, as seen by its parent. */
export class Cannon {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(core: number, plan: CannonPlan) {
    const command = ['-c', String(core), process.execPath, SCRIPT, JSON.stringify(plan)];
    this.#child = spawn('taskset', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#ended = once(this.#child, 'exit');
  }

  /** Resolves when it is done. Rejects if the process ends. One run at a time. */
  async fire(shot: Shot): Promise<Volley> {
    this.#child.send(shot);
    const answer = once(this.#child, 'message') as Promise<[Volley]>;
    const ended = this.#ended.then(() => {
      throw new Error('the autocannon process ended');
    });
    const [volley] = await Promise.race([answer, ended]);
    return volley;
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
  }
}
