/** The built program with a command, as a shell would run it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { noteProcess } from './leftovers.ts';
import { programPath } from './program.ts';
import { within } from './wait.ts';

export interface Ended {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RoomcastProcessOptions {
  /** The whole environment but for PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether to read what it prints. Default true. */
  readonly reads?: boolean;
  /** With the packages as users have them: see `programPath`. */
  readonly asInstalled?: boolean;
}

export class RoomcastProcess {
  stdout = '';
  stderr = '';
  /** Resolves when it has ended and everything that it printed was read. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #said = new EventEmitter();

  constructor(
    args: readonly string[],
    { env = {}, reads = true, asInstalled = false }: RoomcastProcessOptions = {},
  ) {
    const { PATH = '' } = process.env;
    const program = programPath({ asInstalled });
    this.#child = spawn(process.execPath, [program, ...args], { env: { PATH, ...env } });
    if (this.#child.pid !== undefined) noteProcess(this.#child.pid, program);
    // It may end before it has read its input.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#said.emit('said');
    });
    if (reads) this.read();
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Largest memory that it has had resident, in bytes. */
  get peakBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Lines of standard output so far. */
  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  /** Begins to read what it prints. */
  read(): void {
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#said.emit('said');
    });
  }

  /** Closes the pipe that it prints to, as `head` does when it has enough. */
  stopReading(): void {
    this.#child.stdout.destroy();
  }

  write(text: string | Uint8Array): this {
    this.#child.stdin.write(text);
    return this;
  }

  /** Ends its input, after this. */
  end(text: string | Uint8Array = ''): this {
    this.#child.stdin.end(text);
    return this;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when what it has printed fulfils this. Rejects when it ends before that. */
  async until(fulfilled: () => boolean, what: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      const look = () => fulfilled() && resolve();
      this.#said.on('said', look);
      look();
    });
    const over = this.ended.then(({ code, stderr }) => {
      if (!fulfilled()) throw new Error(`it ended with ${code} before there was ${what}: ${stderr}`);
    });
    await within(60_000, what, Promise.race([said, over]));
  }

  printed(lines: number): Promise<void> {
    return this.until(() => this.lines.length >= lines, `${lines} lines`);
  }
}
