import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from './connection.ts';
import type { DialectChoice } from './dialect.ts';
import { Histogram, type Percentiles } from './histogram.ts';
import type { LoadPlan } from './load.ts';
import type { Opening, OpeningPlan } from './opener.ts';
import { type Phase, publishedIn, summarise } from './phase.ts';
import type { WorkerPlan, WorkerProgress, WorkerReport } from './worker.ts';
import { WorkerProcess } from './worker-process.ts';

/** After publishing ends, missing messages count as lost once nothing has arrived for this long. */
const PATIENCE_MS = 3000;
const AT_ONCE = 64;

/** Rooms of equal size, each with the same number of publishers. */
export interface Audience {
  readonly rooms: number;
  readonly membersPerRoom: number;
  readonly publishersPerRoom: number;
  /** Publishers are among the members; else they are connections that join no room. */
  readonly publishersJoin: boolean;
  /** So many connections are shared by all publishers that join nothing; if not given, each has its own. */
  readonly outsideConnections?: number;
  readonly payloadBytes: number;
  /** Prefix of room names, before a number. */
  readonly roomPrefix?: string;
}

export interface DriverPlan {
  /** Members are spread over them in turn. */
  readonly targets: readonly Target[];
  readonly dialect: DialectChoice;
  readonly audience: Audience;
  /** A process for each; null: the system chooses the core. */
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

/** The load driver: one or more processes, each with its share of every room. */
export class Driver {
  readonly #workers: readonly WorkerProcess[];
  /** How many of the publishers each process has. */
  readonly #publishers: readonly number[];
  readonly #membersPerRoom: number;

  private constructor(workers: readonly WorkerProcess[], plans: readonly WorkerPlan[], audience: Audience) {
    this.#workers = workers;
    this.#publishers = plans.map(({ rooms }) => rooms.reduce((sum, room) => sum + room.publishers.length, 0));
    this.#membersPerRoom = audience.membersPerRoom;
  }

  /** Starts the processes. Nothing is connected yet. */
  static async start(plan: DriverPlan): Promise<Driver> {
    const workers = plan.cores.map((core) => new WorkerProcess(core));
    const plans = workers.map((_, i) => workerPlan(i, workers.length, plan));
    const driver = new Driver(workers, plans, plan.audience);
    try {
      await Promise.all(workers.map((worker, i) => worker.ask('plan', plans[i]!)));
      return driver;
    } catch (error) {
      await driver.close();
      throw error;
    }
  }

  /** Connects and joins all members. Rejects with the first failure. */
  async open(plan: Partial<OpeningPlan> = {}): Promise<OpeningSummary> {
    const share = this.#openingShare(plan);
    return summariseOpenings(await Promise.all(this.#workers.map((worker) => worker.ask('open', share))));
  }

  /**
   * Runs the load for this long, and for as long as `meanwhile` takes, then waits until everything published
   * was delivered, or never will be. `until` ends the load early.
   */
  async run(
    load: LoadPlan,
    seconds: number,
    meanwhile?: () => Promise<void>,
    until?: AbortSignal,
  ): Promise<Phase> {
    const shares = loadShares(load, this.#publishers);
    await Promise.all(this.#workers.map((worker) => worker.ask('reset')));
    await Promise.all(this.#workers.map((worker, i) => worker.ask('start', shares[i]!)));
    await Promise.all([pause(seconds * 1000, until), meanwhile?.()]);
    const stopped = await Promise.all(this.#workers.map((worker) => worker.ask('stop', PATIENCE_MS)));
    const published = publishedIn(stopped);
    const final = await this.#awaitDeliveries(published);
    return summarise(stopped, final, published * this.#membersPerRoom);
  }

  /** Cuts the links of all members without notice; after a pause they reconnect, each to a random target. */
  async cut(backAfterMs: number, plan: Partial<OpeningPlan> = {}): Promise<OpeningSummary> {
    const share = { ...this.#openingShare(plan), backAfterMs };
    return summariseOpenings(await Promise.all(this.#workers.map((worker) => worker.ask('cut', share))));
  }

  /** Progress of the current phase, or of the opening. May be called at any time. */
  async progress(): Promise<WorkerProgress> {
    const parts = await Promise.all(this.#workers.map((worker) => worker.ask('progress')));
    return parts.reduce((all, part) => ({
      open: all.open + part.open,
      published: all.published + part.published,
      delivered: all.delivered + part.delivered,
      firstTrouble: all.firstTrouble ?? part.firstTrouble,
    }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  /** Waits for published messages, and for acknowledgements if there are any, as long as some arrive. */
  async #awaitDeliveries(published: number): Promise<WorkerReport[]> {
    const expected = published * this.#membersPerRoom;
    let come = -1;
    let deadline = 0;
    for (;;) {
      const final = await this.#report();
      const deliveries = distinct(final);
      const acknowledged = final.reduce((sum, report) => sum + report.acknowledged, 0);
      if (deliveries >= expected && (acknowledged === 0 || acknowledged >= published)) return final;
      if (deliveries + acknowledged > come) deadline = performance.now() + PATIENCE_MS;
      else if (performance.now() > deadline) return final;
      come = deliveries + acknowledged;
      await sleep(20);
    }
  }

  #report(): Promise<WorkerReport[]> {
    return Promise.all(this.#workers.map((worker) => worker.ask('report')));
  }

  #openingShare({ atOnce = AT_ONCE, perSecond = null }: Partial<OpeningPlan>): OpeningPlan {
    const workers = this.#workers.length;
    return {
      atOnce: Math.max(1, Math.round(atOnce / workers)),
      perSecond: perSecond === null ? null : perSecond / workers,
    };
  }
}

/** Each process's share by its publishers, rounded so that the shares add up. */
function loadShares(load: LoadPlan, publishers: readonly number[]): LoadPlan[] {
  const all = publishers.reduce((sum, count) => sum + count, 0);
  let before = 0;
  return publishers.map((count) => {
    const from = before / all;
    before += count;
    const to = before / all;
    if (load.kind === 'open') return { ...load, perSecond: load.perSecond * (to - from) };
    return { ...load, inFlight: Math.round(load.inFlight * to) - Math.round(load.inFlight * from) };
  });
}

/** Resolves after so long, or when told to. */
export function pause(ms: number, until?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (until?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      until?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    until?.addEventListener('abort', end);
  });
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
  const outsideConnections =
    audience.outsideConnections === undefined ? null : Math.ceil(audience.outsideConnections / workers);
  return { targets, dialect, payloadBytes, publishersJoin, outsideConnections, rooms: roomPlans };
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
