import type { Trial } from './trial.ts';

/** Medians over the trials of one row and shape. Times in microseconds, rates per second. */
export interface Summary {
  readonly row: string;
  /** Trials that count, those of them in which the driver was the limit, and those that were void. */
  readonly counted: number;
  readonly driverBound: number;
  readonly voided: number;
  readonly serverUsPerDelivery: number;
  /** Lowest and highest of the trials. */
  readonly spread: readonly [low: number, high: number];
  /** Against the control row of the same invocation; NaN where that did not run. */
  readonly ratio: number;
  /** NaN where there is no Redis in the path. */
  readonly redisUsPerPublish: number;
  /** Of trials in which the driver was not the limit; of the others where there are no such. */
  readonly deliveriesPerSecond: number;
  readonly publishesPerSecond: number;
  readonly serverShare: number;
  readonly driverShare: number;
  /** Room messages in a WebSocket message, as members received them. */
  readonly batch: number;
  readonly p50: number;
  readonly p99: number;
  readonly lost: number;
  readonly repeated: number;
  readonly reordered: number;
  readonly trouble: number;
}

/** One summary a row, in the order in which rows first appear. Rows whose trials were all void have NaN. */
export function summarise(trials: readonly Trial[], control: string): Summary[] {
  const rows = [...new Set(trials.map(({ row }) => row))];
  const base = median(counted(trials, control).map(cost));
  return rows.map((row) => summariseRow(row, trials, base));
}

function summariseRow(row: string, trials: readonly Trial[], base: number): Summary {
  const all = trials.filter((trial) => trial.row === row);
  const good = counted(trials, row);
  const of = (pick: (trial: Trial) => number): number => median(good.map(pick));
  const free = good.filter(({ driverBound }) => !driverBound);
  const unbound = (pick: (trial: Trial) => number): number =>
    median((free.length > 0 ? free : good).map(pick));
  // Correctness is not a matter of medians, nor of void runs.
  const total = (pick: (trial: Trial) => number): number => all.reduce((sum, trial) => sum + pick(trial), 0);
  const costs = good.map(cost);
  return {
    row,
    counted: good.length,
    driverBound: good.length - free.length,
    voided: all.length - good.length,
    serverUsPerDelivery: median(costs),
    spread: [Math.min(...costs), Math.max(...costs)],
    ratio: median(costs) / base,
    redisUsPerPublish: of(({ redisUs, phase }) => (redisUs === 0 ? Number.NaN : redisUs / phase.published)),
    deliveriesPerSecond: unbound(({ phase }) => phase.delivered / phase.seconds),
    publishesPerSecond: unbound(({ phase }) => phase.published / phase.seconds),
    serverShare: of(({ serverUs, phase }) => serverUs / phase.seconds / 1e6),
    driverShare: of(({ phase }) => phase.driverShare),
    batch: of(({ phase }) => phase.delivered / phase.wsMessages),
    p50: unbound(({ phase }) => phase.latencyUs.p50),
    p99: unbound(({ phase }) => phase.latencyUs.p99),
    lost: total(({ phase }) => phase.lost),
    repeated: total(({ phase }) => phase.repeated),
    reordered: total(({ phase }) => phase.reordered),
    trouble: total(({ phase }) => phase.trouble + phase.misrouted),
  };
}

function counted(trials: readonly Trial[], row: string): Trial[] {
  return trials.filter((trial) => trial.row === row && trial.voidBecause === null);
}

function cost({ serverUs, phase }: Trial): number {
  return serverUs / phase.delivered;
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
