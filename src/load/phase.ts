import { Histogram, type Percentiles } from './histogram.ts';
import type { WorkerReport } from './worker.ts';

/** One phase of load, summed over all driver processes. */
export interface Phase {
  /** From the start to the last delivery. */
  readonly seconds: number;
  /** How long load was applied. */
  readonly loadSeconds: number;
  readonly published: number;
  readonly acknowledged: number;
  readonly delivered: number;
  /** How many of these had no number: their order is not known. */
  readonly unnumbered: number;
  readonly wsMessages: number;
  readonly bytes: number;
  /** Deliveries that should have arrived and did not. */
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
  /** How often they slept; see `WorkerReport`. */
  readonly sleeps: number;
}

/**
 * `stopped`: when the load ended, for the driver's CPU share; `final`: when all had arrived, for everything
 * else.
 */
export function summarise(
  stopped: readonly WorkerReport[],
  final: readonly WorkerReport[],
  expected: number,
): Phase {
  const total = (pick: (report: WorkerReport) => number): number =>
    final.reduce((sum, report) => sum + pick(report), 0);
  const latency = new Histogram();
  for (const report of final) latency.merge(report.latency);
  const delivered = total((report) => report.delivered);
  const repeated = total((report) => report.repeated);
  return {
    seconds: Math.max(...final.map(({ wallUs }) => wallUs)) / 1e6,
    loadSeconds: Math.max(...final.map(({ loadUs }) => loadUs)) / 1e6,
    published: publishedIn(final),
    acknowledged: total((report) => report.acknowledged),
    delivered,
    unnumbered: total((report) => report.unnumbered),
    wsMessages: total((report) => report.wsMessages),
    bytes: total((report) => report.bytes),
    lost: Math.max(0, expected - delivered + repeated),
    repeated,
    reordered: total((report) => report.reordered),
    misrouted: total((report) => report.misrouted),
    trouble: total((report) => report.trouble),
    firstTrouble: final.find(({ firstTrouble }) => firstTrouble !== null)?.firstTrouble ?? null,
    latencyUs: latency.percentiles(),
    driverUs: total((report) => report.cpuUs),
    driverShare: Math.max(...stopped.map(({ cpuUs, wallUs }) => cpuUs / wallUs)),
    sleeps: total((report) => report.sleeps),
  };
}

/** By all processes, in all rooms. */
export function publishedIn(reports: readonly WorkerReport[]): number {
  const rooms = reports.flatMap(({ publishedByRoom }) => publishedByRoom);
  return rooms.reduce((sum, [, published]) => sum + published, 0);
}
