/** A Roomcast node as a process of its own, from the built `dist/`, as it would run anywhere. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { noteProcess } from './leftovers.ts';
import { programPath } from './program.ts';
import { within } from './wait.ts';

const TAIL_LINES = 30;

/** Tests look at metrics right after what they count, more often than a node renders them for others. */
const EXACT_METRICS = { ROOMCAST_METRICS_RENDERS_PER_SECOND: '0' };

export interface NodeProcessOptions {
  /** Flags after `serve --port 0`; a later `--port` overrides it. */
  readonly flags?: readonly string[];
  /** The whole environment but for PATH, HOME and exact metrics: nothing is inherited from whoever runs the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files that the process may have open. Default: as many as the tests may. */
  readonly openFiles?: number;
  /** With the packages as users have them: see `programPath`. */
  readonly asInstalled?: boolean;
  /** Until it listens. Default 15,000. */
  readonly startTimeoutMs?: number;
}

/** One line of the node's log. */
export interface LogRecord {
  readonly level?: number | string;
  readonly msg?: string;
  readonly event?: string;
  readonly [field: string]: unknown;
}

export interface ExitStatus {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class NodeProcess {
  /** Everything it printed, both streams, as lines. */
  readonly lines: string[] = [];
  /** Those of its lines that are JSON. */
  readonly log: LogRecord[] = [];
  /** Resolves when the process is gone. */
  readonly exited: Promise<ExitStatus>;
  readonly #child: ChildProcess;
  readonly #records = new EventEmitter();
  #url = '';

  private constructor({ flags = [], env = {}, openFiles, asInstalled = false }: NodeProcessOptions) {
    const { PATH = '', HOME = '' } = process.env;
    const program = programPath({ asInstalled });
    const node = [process.execPath, program, 'serve', '--port', '0', ...flags];
    // The hard limit too: Node raises the soft one to it.
    const limited = ['sh', '-c', `ulimit -n ${openFiles} && exec "$@"`, 'sh', ...node];
    const [command, ...rest] = openFiles === undefined ? node : limited;
    this.#child = spawn(command!, rest, {
      env: { PATH, HOME, ...EXACT_METRICS, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    if (this.#child.pid !== undefined) noteProcess(this.#child.pid, program);
    this.#read(this.#child.stdout!);
    this.#read(this.#child.stderr!);
    this.exited = this.#whenClosed();
    this.#endWithTests();
  }

  /** Resolves when the node listens; rejects with the tail of its log when it ends or takes too long. */
  static async start(options: NodeProcessOptions = {}): Promise<NodeProcess> {
    const { startTimeoutMs = 15_000 } = options;
    const node = new NodeProcess(options);
    try {
      const record = await node.logged(({ event }) => event === 'listening', startTimeoutMs);
      if (typeof record.url !== 'string') throw new Error('the "listening" record has no url');
      node.#url = record.url;
      return node;
    } catch (error) {
      await node.kill();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  get url(): string {
    return this.#url.replace(/\/$/, '');
  }

  get wsUrl(): string {
    return `${this.url.replace(/^http/, 'ws')}/ws`;
  }

  /** Resolves with the first record, past or future, that matches; rejects when the node ends without one. */
  async logged(matches: (record: LogRecord) => boolean, timeoutMs = 10_000): Promise<LogRecord> {
    const found = this.log.find(matches);
    if (found) return found;
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(`the node ended with ${signal ?? code}`);
    });
    let onRecord: (record: LogRecord) => void = () => undefined;
    const next = new Promise<LogRecord>((resolve) => {
      onRecord = (record) => (matches(record) ? resolve(record) : undefined);
    });
    this.#records.on('record', onRecord);
    try {
      return await within(timeoutMs, 'a log record', Promise.race([next, ended]));
    } catch (error) {
      throw this.#withTail(error as Error);
    } finally {
      this.#records.off('record', onRecord);
    }
  }

  /** SIGTERM, then its exit code. Rejects, and kills it, when it stays for longer than `timeoutMs`. */
  async stop(timeoutMs = 20_000): Promise<number | null> {
    this.#child.kill('SIGTERM');
    try {
      return (await within(timeoutMs, 'the node to end after SIGTERM', this.exited)).code;
    } catch (error) {
      await this.kill();
      throw this.#withTail(error as Error);
    }
  }

  /** SIGKILL: what a crash of the machine looks like to the others. Harmless when it has ended. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  tail(): string {
    return this.lines.slice(-TAIL_LINES).join('\n');
  }

  #withTail(error: Error): Error {
    return new Error(`${error.message}; the end of its log:\n${this.tail()}`, { cause: error });
  }

  #read(stream: Readable): void {
    const lines: Interface = createInterface({ input: stream });
    lines.on('line', (line) => {
      this.lines.push(line);
      const record = parse(line);
      if (record === null) return;
      this.log.push(record);
      this.#records.emit('record', record);
    });
  }

  /** `close` comes after the last of its output, `exit` may not. */
  #whenClosed(): Promise<ExitStatus> {
    return new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  #endWithTests(): void {
    const kill = () => this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#child.once('close', () => process.off('exit', kill));
  }
}

function parse(line: string): LogRecord | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    // Such as an object that Node prints in a stack trace: it is in `lines`.
    return null;
  }
}
