/** Shapes in which members listen under load: what a delivery costs the server. */
import type { Audience } from '../../src/load/driver.ts';
import type { LoadPlan } from '../../src/load/load.ts';
import type { Phase } from '../../src/load/phase.ts';
import type { Contender } from '../server/contender.ts';
import { type Cost, Meter } from './conditions.ts';
import { PeakMemory } from './memory.ts';
import { onServer } from './on-server.ts';
import type { BenchOptions, Checks, Column, Goal, Shape, Trial } from './scenario.ts';

export const PAYLOAD_BYTES = 128;
/** Load to warm up servers with: at few publishes a second their code would still be cold after minutes. */
const WARM_UP: LoadPlan = { kind: 'closed', inFlight: 64 };
/** The driver's core, which also runs Redis, is full above this. */
const MAX_DRIVER_SHARE = 0.9;

const PER_DELIVERY: Column = { head: 'us/delivery', figure: 'serverUsPerDelivery', digits: 3 };

export const COLUMNS = {
  redis: { head: 'redis us/pub', figure: 'redisUsPerPublish', digits: 1 },
  deliveries: { head: 'deliveries/s', figure: 'deliveriesPerSecond', digits: 0, kind: 'limited' },
  publishes: { head: 'publishes/s', figure: 'publishesPerSecond', digits: 0, kind: 'limited' },
  batch: { head: 'batch', figure: 'batch', digits: 1 },
  server: { head: 'server', figure: 'serverShare', digits: 0, kind: 'share' },
  driver: { head: 'driver', figure: 'driverShare', digits: 0, kind: 'share' },
  sleeps: { head: 'sleeps/1000', figure: 'driverSleepsPer1000', digits: 0 },
  peak: { head: 'peak MB', figure: 'peakMemoryMB', digits: 0 },
  acknowledged: { head: 'acknowledged', figure: 'acknowledgedShare', digits: 0, kind: 'share' },
  perServerSecond: { head: 'publishes/core s', figure: 'publishesPerServerSecond', digits: 0 },
  p50: { head: 'p50 us', figure: 'p50', digits: 0, kind: 'limited' },
  p99: { head: 'p99 us', figure: 'p99', digits: 0, kind: 'limited' },
  p999: { head: 'p99.9 us', figure: 'p999', digits: 0, kind: 'limited' },
  max: { head: 'max us', figure: 'max', digits: 0, kind: 'limited' },
} as const satisfies Record<string, Column>;

const { redis, deliveries, publishes, batch, server, driver, sleeps, p50, p99 } = COLUMNS;
const USUAL = [redis, deliveries, publishes, batch, server, driver, sleeps, p50, p99];

export interface LoadShapePlan {
  readonly name: string;
  readonly what: string;
  readonly rows: readonly string[];
  readonly control: string;
  readonly audience: Omit<Audience, 'payloadBytes' | 'publishersJoin'> & Partial<Audience>;
  readonly load: LoadPlan;
  /** Of measurement, where the usual ones are too few. */
  readonly seconds?: number;
  readonly headline?: Column;
  readonly columns?: readonly Column[];
  readonly goals?: readonly Goal[];
}

export function loadShape(plan: LoadShapePlan): Shape {
  const { name, what, rows, control, headline = PER_DELIVERY, columns = USUAL, goals = [] } = plan;
  const view = { name, what, rows, control, headline, columns, goals };
  return { ...view, run: (row, options) => run(plan, row, options) };
}

/** Fills the server with members, warms it up, and measures: nothing is in flight before and after. */
function run(plan: LoadShapePlan, contender: Contender, options: BenchOptions): Promise<Trial> {
  const audience = { payloadBytes: PAYLOAD_BYTES, publishersJoin: true, ...plan.audience };
  return onServer(contender, audience, options, async ({ server, driver }) => {
    await driver.open();
    const warmUp = await driver.run(WARM_UP, options.warmUpSeconds);
    const memory = new PeakMemory(server);
    const meter = new Meter(server);
    const phase = await driver.run(plan.load, plan.seconds ?? options.seconds).finally(() => memory.end());
    const cost = meter.end(phase.driverUs);
    const peakMemoryMB = memory.bytes / 2 ** 20;
    const memoryMB = server.memoryBytes / 2 ** 20;
    const figures = { ...loadFigures(phase, cost), memoryMB, peakMemoryMB };
    const measured = trial(plan.name, contender.name, phase, cost, figures);
    // Errors in the warm-up count.
    return { ...measured, checks: checksOf(phase, warmUp) };
  });
}

/** Server CPU per delivery with Redis in the path, against the control. */
export function atMost(limit: number, to: string, row = 'roomcast-redis'): Goal {
  return { row, figure: PER_DELIVERY.figure, to, atMost: limit };
}

/** Makes a trial from a phase of load and its cost. */
export function trial(
  shape: string,
  row: string,
  phase: Phase,
  cost: Cost,
  figures: Readonly<Record<string, number>>,
): Trial {
  // All driver processes are on one core.
  const driverBound = isDriverBound(phase.driverUs / 1e6 / phase.seconds, cost.redisUs, phase.seconds);
  return { shape, row, figures, checks: checksOf(phase), driverBound, voidBecause: cost.voidBecause };
}

/** Whether the core that the driver shares with Redis was full. */
export function isDriverBound(driverShare: number, redisUs: number, seconds: number): boolean {
  return driverShare + redisUs / (seconds * 1e6) > MAX_DRIVER_SHARE;
}

/** Of phases of one trial together. */
export function checksOf(...phases: readonly Phase[]): Checks {
  const total = (pick: (phase: Phase) => number): number =>
    phases.reduce((sum, phase) => sum + pick(phase), 0);
  return {
    lost: total(({ lost }) => lost),
    repeated: total(({ repeated }) => repeated),
    reordered: total(({ reordered }) => reordered),
    trouble: total(({ trouble, misrouted }) => trouble + misrouted),
    firstTrouble: phases.find(({ firstTrouble }) => firstTrouble !== null)?.firstTrouble ?? null,
  };
}

export function loadFigures(phase: Phase, { serverUs, redisUs, mastersUs }: Cost): Record<string, number> {
  const { delivered, published, acknowledged, seconds, latencyUs } = phase;
  return {
    serverUsPerDelivery: serverUs / delivered,
    serverUsPerPublish: serverUs / published,
    publishesPerServerSecond: published / (serverUs / 1e6),
    redisUsPerPublish: redisUs === 0 ? Number.NaN : redisUs / published,
    busiestMaster: (Math.max(...mastersUs) * mastersUs.length) / redisUs,
    deliveriesPerSecond: delivered / seconds,
    publishesPerSecond: published / seconds,
    acknowledgedShare: acknowledged / published,
    batch: delivered / phase.wsMessages,
    serverShare: serverUs / seconds / 1e6,
    driverShare: phase.driverShare,
    driverSleepsPer1000: (phase.sleeps / delivered) * 1000,
    deliveries: delivered,
    ...latencyUs,
  };
}
