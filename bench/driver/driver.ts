import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Target } from './connection.ts';
import { Histogram, type Percentiles } from './histogram.ts';
import type { LoadPlan } from './load.ts';
import type { DialectName, WorkerAnswer, WorkerCall, WorkerPlan, WorkerReport } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));
/** How long what is in flight may take to come back once nothing more is published. */
const PATIENCE_MS = 3000;

/** Rooms of equal size, each with so many of its members publishing in turn. */
export interface Audience {
  readonly rooms: number;
  readonly membersPerRoom: number;
  readonly publishersPerRoom: number;
  readonly payloadBytes: number;
}

/** One phase of load, of all driver processes together. */
export interface Phase {
  readonly seconds: number;
  readonly published: number;
  readonly acknowledged: number;
  readonly delivered: number;
  readonly wsMessages: number;
  readonly bytes: number;
  /** Deliveries that should have come and did not. */
  readonly lost: number;
  readonly repeated: number;
  readonly reordered: number;
  readonly misrouted: number;
  readonly trouble: number;
  readonly firstTrouble: string | null;
  readonly latencyUs: Percentiles;
  /** Share of its core that the busiest driver process used. */
  readonly driverShare: number;
  /** User and system time of all of them. */
  readonly driverUs: number;
}

/** The load driver: one or more processes, each with its part of every room, and each pinned to a core. */
export class Driver {
  readonly #workers: readonly ChildProcess[];
  readonly #audience: Audience;

  private constructor(workers: readonly ChildProcess[], audience: Audience) {
    this.#workers = workers;
    this.#audience = audience;
  }

  /** Starts a process on each of `cores` (the same one may be named twice), connects all members and joins them. */
  static async open(
    target: Target,
    dialect: DialectName,
    audience: Audience,
    cores: readonly number[],
  ): Promise<Driver> {
    const workers = cores.map(spawnWorker);
    const driver = new Driver(workers, audience);
    try {
      const opening = workers.map((worker, i) =>
        ask(worker, { call: 'open', plan: planFor(i, workers.length, target, dialect, audience) }),
      );
      await Promise.all(opening);
      return driver;
    } catch (error) {
      await driver.close();
      throw error;
    }
  }

  /** Puts on load for so long, then waits until all that was published was delivered, or will not be. */
  async run(load: LoadPlan, seconds: number): Promise<Phase> {
    await Promise.all(this.#workers.map((worker) => ask(worker, { call: 'start', load: this.#share(load) })));
    await sleep(seconds * 1000);
    const stopped = await this.#reports({ call: 'stop', patienceMs: PATIENCE_MS });
    const expected = this.#expected(stopped);
    const deadline = performance.now() + PATIENCE_MS;
    let settled = await this.#reports({ call: 'report' });
    while (distinct(settled) < expected && performance.now() < deadline) {
      await sleep(20);
      settled = await this.#reports({ call: 'report' });
    }
    return summarise(stopped, settled, expected);
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) {
      if (worker.exitCode !== null || worker.signalCode !== null) continue;
      const exited = once(worker, 'exit');
      worker.disconnect();
      await exited;
    }
  }

  async #reports(call: WorkerCall): Promise<WorkerReport[]> {
    const answers = await Promise.all(this.#workers.map((worker) => ask(worker, call)));
    return answers.map((answer) => answer!);
  }

  #expected(reports: readonly WorkerReport[]): number {
    let published = 0;
    for (const report of reports) published += publishedIn(report);
    return published * this.#audience.membersPerRoom;
  }

  #share(load: LoadPlan): LoadPlan {
    const workers = this.#workers.length;
    if (load.kind === 'open') return { ...load, perSecond: load.perSecond / workers };
    return { ...load, inFlight: Math.max(1, Math.round(load.inFlight / workers)) };
  }
}

function spawnWorker(core: number): ChildProcess {
  return spawn('taskset', ['-c', String(core), process.execPath, WORKER], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

/** Members, and the publishers among them, are dealt out evenly. */
function planFor(
  worker: number,
  workers: number,
  target: Target,
  dialect: DialectName,
  { rooms, membersPerRoom, publishersPerRoom, payloadBytes }: Audience,
): WorkerPlan {
  const mine = (index: number): boolean => index % workers === worker;
  const plans = Array.from({ length: rooms }, (_, index) => ({
    name: `bench:${index}`,
    index,
    members: Array.from({ length: membersPerRoom }, (_, i) => i).filter((i) => mine(i + index)).length,
    publishers: Array.from({ length: publishersPerRoom }, (_, i) => i).filter((i) => mine(i + index)),
  }));
  return { target, dialect, payloadBytes, rooms: plans };
}

/** One question at a time to a process; rejects when it fails or ends. */
async function ask(worker: ChildProcess, call: WorkerCall): Promise<WorkerReport | null> {
  const ended = new AbortController();
  const answered = once(worker, 'message', { signal: ended.signal });
  const exited = once(worker, 'exit', { signal: ended.signal }).then(([code]) => {
    throw new Error(`a driver process ended with ${code}`);
  });
  worker.send(call);
  try {
    const [answer] = (await Promise.race([answered, exited])) as [WorkerAnswer];
    if ('failed' in answer) throw new Error(`a driver process failed: ${answer.failed}`);
    return answer.ok;
  } finally {
    exited.catch(ignore);
    answered.catch(ignore);
    ended.abort();
  }
}

function ignore(): void {
  // The other of the two was first.
}

function publishedIn(report: WorkerReport): number {
  return report.publishedByRoom.reduce((sum, [, published]) => sum + published, 0);
}

function distinct(reports: readonly WorkerReport[]): number {
  return reports.reduce((sum, { delivered, repeated }) => sum + delivered - repeated, 0);
}

/** `stopped`: when the load ended, for times; `settled`: when all had come, for counts. */
function summarise(
  stopped: readonly WorkerReport[],
  settled: readonly WorkerReport[],
  expected: number,
): Phase {
  const total = (pick: (report: WorkerReport) => number): number =>
    settled.reduce((sum, report) => sum + pick(report), 0);
  const latency = new Histogram();
  for (const report of settled) latency.merge(report.latency);
  return {
    seconds: Math.max(...stopped.map(({ wallUs }) => wallUs)) / 1e6,
    published: total(publishedIn),
    acknowledged: total((report) => report.acknowledged),
    delivered: total((report) => report.delivered),
    wsMessages: total((report) => report.wsMessages),
    bytes: total((report) => report.bytes),
    lost: Math.max(0, expected - distinct(settled)),
    repeated: total((report) => report.repeated),
    reordered: total((report) => report.reordered),
    misrouted: total((report) => report.misrouted),
    trouble: total((report) => report.trouble),
    firstTrouble: settled.find(({ firstTrouble }) => firstTrouble !== null)?.firstTrouble ?? null,
    latencyUs: latency.percentiles(),
    driverUs: total((report) => report.cpuUs),
    driverShare: Math.max(...stopped.map(({ cpuUs, wallUs }) => cpuUs / wallUs)),
  };
}
