import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { WorkerAnswer, WorkerCalls, WorkerQuestion } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A driver process, as seen by its parent. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #ended: Error | null = null;

  /** `core` null: the system chooses it. Pinning needs `taskset`. */
  constructor(core: number | null) {
    const command = core === null ? [] : ['taskset', '-c', String(core)];
    const [program, ...rest] = [...command, process.execPath, WORKER];
    this.#child = spawn(program!, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (answer: WorkerAnswer) => this.#answered(answer));
    this.#child.once('error', (error) => this.#end(error));
    this.#child.once('exit', (code, signal) =>
      this.#end(new Error(`a driver process ended with ${signal ?? code}`)),
    );
  }

  /** Makes one call; several may be in progress. Rejects if it fails or the process ends. */
  ask<Call extends keyof WorkerCalls>(
    call: Call,
    ...given: Parameters<WorkerCalls[Call]>
  ): Promise<ReturnType<WorkerCalls[Call]>> {
    if (this.#ended) return Promise.reject(this.#ended);
    const question: WorkerQuestion = { id: this.#nextId++, call, given };
    return new Promise((resolve, reject) => {
      this.#waiting.set(question.id, { resolve: resolve as (result: unknown) => void, reject });
      this.#child.send(question);
    });
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    await exited;
  }

  #answered(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('failed' in answer) waiting?.reject(new Error(`a driver process failed: ${answer.failed}`));
    else waiting?.resolve(answer.result);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
