import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from './connection.ts';
import type { DialectChoice } from './dialect.ts';
import { Histogram, type Percentiles } from './histogram.ts';
import type { LoadPlan } from './load.ts';
import type { Opening, OpeningPlan } from './opener.ts';
import { type Phase, publishedIn, summarise } from './phase.ts';
import type { WorkerPlan, WorkerReport } from './worker.ts';
import { WorkerProcess } from './worker-process.ts';

/** How long what is in flight may take to come back once nothing more is published. */
const PATIENCE_MS = 3000;
const AT_ONCE = 64;

/** Rooms of equal size, each with so many publishers. */
export interface Audience {
  readonly rooms: number;
  readonly membersPerRoom: number;
  readonly publishersPerRoom: number;
  /** Publishers are among the members; else they are connections that join nothing. */
  readonly publishersJoin: boolean;
  readonly payloadBytes: number;
  /** Rooms are called this and a number. */
  readonly roomPrefix?: string;
}

export interface DriverPlan {
  /** Members are dealt out to them in turn. */
  readonly targets: readonly Target[];
  readonly dialect: DialectChoice;
  readonly audience: Audience;
  /** A process for each; null: wherever the system puts it. */
  readonly cores: readonly (number | null)[];
}

/** How the connections of all driver processes were opened. */
export interface OpeningSummary {
  readonly opened: number;
  readonly refused: number;
  readonly seconds: number;
  readonly driverUs: number;
  readonly driverShare: number;
  readonly latencyUs: Percentiles;
}

/** The load driver: one or more processes, each with its part of every room. */
export class Driver {
  readonly #workers: readonly WorkerProcess[];
  readonly #audience: Audience;

  private constructor(workers: readonly WorkerProcess[], audience: Audience) {
    this.#workers = workers;
    this.#audience = audience;
  }

  /** Starts the processes. Nothing is connected yet. */
  static async start(plan: DriverPlan): Promise<Driver> {
    const workers = plan.cores.map((core) => new WorkerProcess(core));
    const driver = new Driver(workers, plan.audience);
    try {
      await Promise.all(workers.map((worker, i) => worker.ask('plan', workerPlan(i, workers.length, plan))));
      return driver;
    } catch (error) {
      await driver.close();
      throw error;
    }
  }

  /** Connects and joins everyone. Rejects with the first failure. */
  async open(plan: Partial<OpeningPlan> = {}): Promise<OpeningSummary> {
    const share = this.#openingShare(plan);
    return summariseOpenings(await Promise.all(this.#workers.map((worker) => worker.ask('open', share))));
  }

  /**
   * Puts on load for so long, and for as long as `meanwhile` takes, then waits until all that was published was delivered,
   * or will not be.
   */
  async run(load: LoadPlan, seconds: number, meanwhile?: () => Promise<void>): Promise<Phase> {
    const share = this.#loadShare(load);
    await Promise.all(this.#workers.map((worker) => worker.ask('start', share)));
    await Promise.all([sleep(seconds * 1000), meanwhile?.()]);
    const stopped = await Promise.all(this.#workers.map((worker) => worker.ask('stop', PATIENCE_MS)));
    const expected = publishedIn(stopped) * this.#audience.membersPerRoom;
    const deadline = performance.now() + PATIENCE_MS;
    let settled = await this.#report();
    while (distinct(settled) < expected && performance.now() < deadline) {
      await sleep(20);
      settled = await this.#report();
    }
    return summarise(stopped, settled, expected);
  }

  /** Cuts the links of all members without a word to the server; after a pause they come back, each to a target by chance. */
  async cut(backAfterMs: number, plan: Partial<OpeningPlan> = {}): Promise<OpeningSummary> {
    const share = { ...this.#openingShare(plan), backAfterMs };
    return summariseOpenings(await Promise.all(this.#workers.map((worker) => worker.ask('cut', share))));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  #report(): Promise<WorkerReport[]> {
    return Promise.all(this.#workers.map((worker) => worker.ask('report')));
  }

  #loadShare(load: LoadPlan): LoadPlan {
    const workers = this.#workers.length;
    if (load.kind === 'open') return { ...load, perSecond: load.perSecond / workers };
    return { ...load, inFlight: Math.max(1, Math.round(load.inFlight / workers)) };
  }

  #openingShare({ atOnce = AT_ONCE, perSecond = null }: Partial<OpeningPlan>): OpeningPlan {
    const workers = this.#workers.length;
    return {
      atOnce: Math.max(1, Math.round(atOnce / workers)),
      perSecond: perSecond === null ? null : perSecond / workers,
    };
  }
}

/** Members and publishers are dealt out evenly; those that only publish are where the first member of their room watches. */
function workerPlan(worker: number, workers: number, plan: DriverPlan): WorkerPlan {
  const { targets, dialect, audience } = plan;
  const { rooms, membersPerRoom, publishersPerRoom, publishersJoin, payloadBytes } = audience;
  const mine = (index: number): boolean => index % workers === worker;
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const roomPlans = upTo(rooms).map((index) => ({
    name: `${audience.roomPrefix ?? 'bench:'}${index}`,
    index,
    members: upTo(membersPerRoom).filter((i) => mine(i + index)).length,
    publishers: upTo(publishersPerRoom).filter((i) => mine(publishersJoin ? i + index : index)),
  }));
  return { targets, dialect, payloadBytes, publishersJoin, rooms: roomPlans };
}

function distinct(reports: readonly WorkerReport[]): number {
  return reports.reduce((sum, { delivered, repeated }) => sum + delivered - repeated, 0);
}

function summariseOpenings(openings: readonly Opening[]): OpeningSummary {
  const total = (pick: (opening: Opening) => number): number =>
    openings.reduce((sum, opening) => sum + pick(opening), 0);
  const latency = new Histogram();
  for (const opening of openings) latency.merge(opening.latency);
  return {
    opened: total(({ opened }) => opened),
    refused: total(({ refused }) => refused),
    seconds: Math.max(...openings.map(({ seconds }) => seconds)),
    driverUs: total(({ cpuUs }) => cpuUs),
    driverShare: Math.max(...openings.map(({ cpuUs, seconds }) => cpuUs / seconds / 1e6)),
    latencyUs: latency.percentiles(),
  };
}
