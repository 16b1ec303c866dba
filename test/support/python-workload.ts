/** Clients in Python under load, as a process: `python/tests/workload.py`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { noteProcess } from './leftovers.ts';
import { MemberLog } from './member-log.ts';
import { PYTHON_PACKAGE, type PythonEnvironment } from './python-environment.ts';
import type { Acknowledged } from './returning-client.ts';
import { waitFor } from './wait.ts';

export interface WorkloadOptions {
  /** Of the nodes, in an order that each client turns in its own way. */
  readonly urls: readonly string[];
  readonly room: string;
  readonly readers: number;
  readonly publishers: number;
  /** Messages a second, all publishers together. */
  readonly perSecond: number;
  readonly seed: number;
}

export interface Outcome {
  readonly publisher: number;
  readonly payload: number;
  /** `stored`, or the class of the error. */
  readonly kind: string;
  readonly epoch?: string;
  readonly offset?: number;
}

interface Report {
  readonly connections: number;
  readonly outcomes: readonly Outcome[];
  readonly last: readonly [epoch: string, offset: number];
  readonly readers: readonly { readonly name: string; readonly log: readonly LogEntry[] }[];
}

type LogEntry =
  | readonly ['joined', epoch: string, offset: number, recovered: boolean]
  | readonly ['message', offset: number, payload: number]
  | readonly ['gap', from: number, to: number]
  | readonly ['reset', epoch: string, offset: number];

export class PythonWorkload {
  /** Publishes that have their outcome, in hundreds. */
  outcomes = 0;
  readonly #room: string;
  readonly #child: ChildProcess;
  readonly #complaints: string[] = [];
  #isReady = false;
  #report: Report | null = null;

  private constructor(environment: PythonEnvironment, options: WorkloadOptions) {
    if ('missing' in environment) throw new Error(environment.missing);
    this.#room = options.room;
    const args = ['-X', 'dev', '-m', 'tests.workload', JSON.stringify(options)];
    this.#child = spawn(environment.python, args, { cwd: PYTHON_PACKAGE, env: environment.env });
    if (this.#child.pid !== undefined) noteProcess(this.#child.pid, 'tests.workload');
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#read(line));
    createInterface({ input: this.#child.stderr! }).on('line', (line) => this.#complaints.push(line));
  }

  /** Resolves when all clients are connected and in the room. */
  static async start(environment: PythonEnvironment, options: WorkloadOptions): Promise<PythonWorkload> {
    const workload = new PythonWorkload(environment, options);
    await workload.#until(() => workload.#isReady, 'the clients to join');
    return workload;
  }

  /** Resolves when so many more publishes have their outcome. */
  async settled(more: number): Promise<void> {
    const target = this.outcomes + more;
    await this.#until(() => this.outcomes >= target, `${more} more outcomes`);
  }

  /** Ends the publishing; resolves when every publish has its outcome and every reader the last message. */
  async conclude(): Promise<{
    outcomes: readonly Outcome[];
    connections: number;
    logs: MemberLog[];
    complaints: readonly string[];
  }> {
    this.#child.stdin!.write('quiet\n');
    await this.#until(() => this.#report !== null, 'the report', 120_000);
    const { outcomes, connections, readers } = this.#report!;
    return {
      outcomes,
      connections,
      logs: readers.map((reader) => this.#logOf(reader)),
      complaints: this.#complaints,
    };
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  #read(line: string): void {
    if (line === 'ready') this.#isReady = true;
    else if (line.startsWith('outcomes ')) this.outcomes = Number(line.slice(9));
    else if (line.startsWith('{')) this.#report = JSON.parse(line) as Report;
  }

  async #until(is: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
    await waitFor(() => is() || this.#child.exitCode !== null, { timeoutMs, for: what });
    if (!is())
      throw new Error(
        `the workload ended with ${this.#child.exitCode}: ${this.#complaints.slice(-15).join('\n')}`,
      );
  }

  #logOf({ name, log: entries }: Report['readers'][number]): MemberLog {
    const log = new MemberLog(name, this.#room);
    for (const entry of entries) {
      if (entry[0] === 'message') log.message(entry[1], entry[2]);
      else if (entry[0] === 'gap') log.event({ kind: 'gap', from: entry[1], to: entry[2] });
      else if (entry[0] === 'reset') log.event({ kind: 'reset', epoch: entry[1], offset: entry[2] });
      else {
        const [, epoch, offset, recovered] = entry;
        log.event({ kind: 'joined', epoch, offset, since: log.position, recovered });
      }
    }
    return log;
  }
}

/** What was stored, as the checker wants it. */
export function acknowledged(room: string, outcomes: readonly Outcome[]): Acknowledged[] {
  return outcomes
    .filter(({ kind }) => kind === 'stored')
    .map(({ payload, epoch, offset }) => ({
      room,
      payload,
      epoch: epoch!,
      offset: offset!,
      sentAtMs: 0,
      ackedAtMs: 0,
    }));
}
