/** `npm run bench -- hostile`: malformed and forged input at a steady rate, and what uninvolved clients notice of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Bystanders, type Figures, type Phase } from '../floods/bystander.ts';
import { ALLOWED_MS, isUndisturbed } from '../floods/verdict.ts';
import { markdownOf } from '../report/table.ts';
import { RunningRedis } from '../server/running-redis.ts';
import { processMemoryBytes } from '../system/memory.ts';
import { PinnedProcess, pinThisProcess } from '../system/pinned.ts';
import type { DriverSettings, Order, Report } from './driver-process.ts';
import { KINDS } from './inputs.ts';
import { Counted, disagreements, Ledger, readExposition } from './ledger.ts';
import { hostileEnv } from './rooms.ts';
import { type TokenKeys, tokenKeys } from './tokens.ts';

const DRIVER = fileURLToPath(new URL('./driver-process.js', import.meta.url));
const QUIET_MS = 15_000;
const AFTER_MS = 5_000;
/** Share of the inputs that is sent before anything is measured: code is compiled, and buffers have their size. */
const WARM_UP = 0.1;
/** What may stay in use for good once nothing is open and garbage is collected. */
const MAY_GROW_BYTES = 4_000_000;
const ANSWER_MS = 20_000;

const HEAD = ['', 'p50 ms', 'p99 ms', 'delivered', '/healthz ms', 'node MB'];

type Say = (text: string) => void;

export interface HostileOptions {
  readonly roomcastMain: string;
  /** The checkout. */
  readonly root: string;
  readonly seed: number;
  readonly inputs: number;
  readonly perSecond: number;
  readonly backplanes: readonly ('memory' | 'redis')[];
  readonly cores: { readonly server: number; readonly redis: number };
}

/** Returns the exit code: 1 if an uninvolved client waited too long, or something was not counted, or stayed. */
export async function runHostile(options: HostileOptions, print: Say, say: Say): Promise<number> {
  pinThisProcess(options.cores.redis);
  let code = 0;
  for (const backplane of options.backplanes) {
    const run = await HostileRun.start(options, backplane);
    try {
      const { table, problems } = await run.measure();
      print(`\n${backplane}, seed ${options.seed}\n\n${table}\n`);
      for (const problem of problems) say(`${backplane}: ${problem}`);
      if (problems.length > 0) code = 1;
    } finally {
      await run.stop();
    }
  }
  return code;
}

class HostileRun {
  readonly #options: HostileOptions;
  readonly #dir: string;
  readonly #redis: RunningRedis | null;
  readonly #node: PinnedProcess;
  readonly #driver: ChildProcess;
  readonly #bystanders: Bystanders;

  private constructor(
    options: HostileOptions,
    parts: { dir: string; redis: RunningRedis | null; node: PinnedProcess; keys: TokenKeys },
  ) {
    this.#options = options;
    this.#dir = parts.dir;
    this.#redis = parts.redis;
    this.#node = parts.node;
    this.#driver = driverOf(options, parts.node.port, parts.keys);
    this.#bystanders = new Bystanders([`http://127.0.0.1:${parts.node.port}`]);
  }

  static async start(options: HostileOptions, backplane: 'memory' | 'redis'): Promise<HostileRun> {
    const { cores, root, roomcastMain } = options;
    const dir = mkdtempSync(join(tmpdir(), 'roomcast-hostile-'));
    const keys = tokenKeys();
    writeFileSync(join(dir, 'public.pem'), keys.publicPem);
    const redis = backplane === 'redis' ? await RunningRedis.start(cores.redis) : null;
    const probe = pathToFileURL(join(root, 'bench/hostile/memory-probe.mjs')).href;
    const node = await PinnedProcess.start(
      cores.server,
      (port) => [
        ...[process.execPath, `--import=${probe}`, roomcastMain, 'serve', '--host', '127.0.0.1'],
        ...['--port', String(port), ...(redis === null ? [] : ['--redis', redis.url])],
      ],
      { PATH: process.env.PATH, ...hostileEnv(join(dir, 'public.pem')) },
    );
    return new HostileRun(options, { dir, redis, node, keys });
  }

  async stop(): Promise<void> {
    this.#bystanders.leave();
    this.#driver.disconnect();
    await this.#node.stop();
    await this.#redis?.stop();
    rmSync(this.#dir, { recursive: true });
  }

  async measure(): Promise<{ table: string; problems: string[] }> {
    const { inputs } = this.#options;
    const warmUp = Math.floor(inputs * WARM_UP);
    await this.#bystanders.gather();
    await this.#send({ first: 0, count: warmUp });
    const bytes = await this.#bytesInUse();
    const files = this.#files();
    const quiet = await this.#phase(QUIET_MS);
    const before = await this.#scrape();
    const during = this.#begin();
    const report = await this.#send({ first: warmUp, count: inputs - warmUp });
    during.end();
    const after = await this.#phase(AFTER_MS);
    const counted = new Counted(before, await this.#scrape());
    const grown = (await this.#bytesInUse()) - bytes;
    const ledger = Ledger.from(report.ledger);
    const phases = [quiet, during, after];
    const figures: Figures[] = [];
    for (const { phase } of phases) figures.push(await this.#bystanders.figures(phase));
    const problems = [
      ...(report.failure === null ? [] : [report.failure]),
      ...disagreements(ledger, counted, { requests: this.#bystanders.healthChecks + 1, sockets: null }),
      ...(isUndisturbed(figures[0]!, figures[1]!)
        ? []
        : [`p99 ${figures[1]!.p99Ms.toFixed(0)} ms, may be twice the quiet one or ${ALLOWED_MS} ms`]),
      ...(grown > MAY_GROW_BYTES ? [`${grown} bytes more are in use`] : []),
      ...(this.#files() > files ? [`${this.#files() - files} files more are open`] : []),
    ];
    const table = [
      `${ledger.sent} inputs, ${Math.round(ledger.sent / report.seconds)} a second, on ${ledger.sockets} connections; ${grown} bytes more in use afterwards`,
      markdownOf([
        HEAD,
        ...['quiet', 'during', 'after'].map((name, i) => row(name, figures[i]!, phases[i]!.bytes)),
      ]),
      markdownOf([['kind', 'inputs', 'how they ended'], ...KINDS.map((kind) => kindRow(ledger, kind))]),
    ].join('\n\n');
    return { table, problems };
  }

  async #send(order: Order): Promise<Report> {
    const told = once(this.#driver, 'message');
    this.#driver.send(order);
    return ((await told) as [Report])[0];
  }

  async #phase(durationMs: number): Promise<Watched> {
    const watched = this.#begin();
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    watched.end();
    return watched;
  }

  #begin(): Watched {
    return new Watched(this.#bystanders.next(), this.#node.pid);
  }

  async #scrape(): Promise<Map<string, number>> {
    const answer = await fetch(`http://127.0.0.1:${this.#node.port}/metrics`);
    return readExposition(await answer.text());
  }

  #files(): number {
    return readdirSync(`/proc/${this.#node.pid}/fd`).length;
  }

  async #bytesInUse(): Promise<number> {
    const known = looksOf(this.#node.output);
    process.kill(this.#node.pid, 'SIGUSR2');
    const deadline = performance.now() + ANSWER_MS;
    while (performance.now() < deadline) {
      const last = looksOf(this.#node.output);
      if (last !== null && last.number !== known?.number) return last.bytes;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the node does not answer: ${this.#node.output}`);
  }
}

/** A phase of the bystanders, and the most memory that the node took in it. */
class Watched {
  readonly phase: Phase;
  bytes = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(phase: Phase, pid: number) {
    this.phase = phase;
    this.#timer = setInterval(() => {
      this.bytes = Math.max(this.bytes, processMemoryBytes(pid));
    }, 50);
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

function driverOf({ cores, seed, perSecond }: HostileOptions, port: number, keys: TokenKeys): ChildProcess {
  const pem = (key: TokenKeys['trusted']) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const settings: DriverSettings = {
    target: { host: '127.0.0.1', port },
    seed,
    perSecond,
    keys: { publicPem: keys.publicPem, trusted: pem(keys.trusted), foreign: pem(keys.foreign) },
  };
  // Behind the bystanders on their core: a message that waits for the attacker's own work is no fault of the node.
  const command = [
    '-c',
    String(cores.redis),
    'nice',
    '-n',
    '15',
    process.execPath,
    DRIVER,
    JSON.stringify(settings),
  ];
  return spawn('taskset', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

function looksOf(output: string): { readonly number: number; readonly bytes: number } | null {
  const line = output.split('\n').findLast((one) => one.startsWith('{"event":"memory"') && one.endsWith('}'));
  return line === undefined ? null : JSON.parse(line);
}

function row(name: string, { p50Ms, p99Ms, delivered, healthMs }: Figures, bytes: number): string[] {
  const share = `${(delivered * 100).toFixed(1)}%`;
  return [
    name,
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    share,
    healthMs.toFixed(0),
    (bytes / 1_000_000).toFixed(0),
  ];
}

function kindRow({ outcomes }: Ledger, kind: (typeof KINDS)[number]): string[] {
  const counts = Object.entries(outcomes[kind]).sort(([, one], [, other]) => other - one);
  const sent = counts.reduce((sum, [, count]) => sum + count, 0);
  return [kind, String(sent), counts.map(([name, count]) => `${name}: ${count}`).join(', ')];
}
