import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const START_MS = 15_000;
const STOP_MS = 20_000;
const TAIL_BYTES = 4000;

/** A process of the bench on one core, which listens on a port. */
export class PinnedProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    const keep = (data: Buffer): void => {
      this.#output = (this.#output + data.toString()).slice(-TAIL_BYTES);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => keep(Buffer.from(error.message)));
    // However the bench ends, it must not leave servers behind.
    const kill = (): void => {
      child.kill('SIGKILL');
    };
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
  }

  /** Resolves when the port accepts connections. `core` null: any. `command` gets the chosen port. */
  static async start(
    core: number | null,
    command: (port: number) => readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<PinnedProcess> {
    const port = await freePort();
    const pinned = core === null ? [] : ['taskset', '-c', String(core)];
    const [program, ...rest] = [...pinned, ...command(port)];
    const child = spawn(program!, rest, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new PinnedProcess(child, port);
    const deadline = performance.now() + START_MS;
    while (!(await accepts(port))) {
      if (child.pid === undefined || child.exitCode !== null || performance.now() > deadline) {
        await started.stop();
        throw new Error(`${command(port).join(' ')} did not start: ${started.#output}`);
      }
      await sleep(20);
    }
    return started;
  }

  /** taskset becomes the program that it starts, so this is the program's own pid. */
  get pid(): number {
    return this.#child.pid!;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it printed last. */
  get output(): string {
    return this.#output;
  }

  /** SIGTERM, so that a profile gets written, and after a long wait SIGKILL. */
  async stop(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Keeps this process, with all its threads, on one core. */
export function pinThisProcess(core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(process.pid)], { stdio: 'ignore' });
}
