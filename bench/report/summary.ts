/** Summarises the trials of a shape, row by row. */
import type { Checks, Shape, Trial } from '../scenarios/scenario.ts';

/** A shape as it is shown: without how it is run. */
export type ShapeView = Omit<Shape, 'run'>;

/** One figure of one row, over the trials that count. All NaN if none of them has it. */
export interface Figure {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Of each trial, in the order in which they ran; only finite ones. */
  readonly values: readonly number[];
  /** It describes the driver, which was the limit in every trial: a rate may be higher, a latency lower. */
  readonly isStarred: boolean;
}

export interface RowSummary {
  readonly row: string;
  /** Trials that count, those of them in which the driver was the limit, and those that were void. */
  readonly counted: number;
  readonly driverBound: number;
  readonly voided: number;
  readonly headline: Figure;
  /** Of the headline to that of the control row of the same run; NaN where that has none. */
  readonly ratio: number;
  /** Every figure that any of its trials has, by name. */
  readonly figures: ReadonlyMap<string, Figure>;
  /** Sums over all trials, void ones too, and the first trouble in words. */
  readonly checks: Checks;
}

/** Latencies by share of deliveries: limited by the driver whether they have a column or not. */
export const PERCENTILES: readonly { readonly figure: string; readonly label: string }[] = [
  { figure: 'p50', label: '50%' },
  { figure: 'p90', label: '90%' },
  { figure: 'p99', label: '99%' },
  { figure: 'p999', label: '99.9%' },
  { figure: 'p9999', label: '99.99%' },
];

const NOTHING: Figure = { median: NaN, low: NaN, high: NaN, values: [], isStarred: false };

/** One summary for each tried row, in the shape's order. Rows whose trials were all void have NaN. */
export function summarise(shape: ShapeView, trials: readonly Trial[]): RowSummary[] {
  const rows = [...new Set([...shape.rows, ...trials.map(({ row }) => row)])];
  const tried = rows.filter((row) => trials.some((trial) => trial.row === row));
  const limited = limitedFigures(shape);
  const summaries = tried.map((row) => summariseRow(row, trials, shape, limited));
  const base = summaries.find(({ row }) => row === shape.control)?.headline.median ?? NaN;
  return summaries.map((summary) => ({ ...summary, ratio: summary.headline.median / base }));
}

function limitedFigures({ headline, columns }: ShapeView): ReadonlySet<string> {
  const inColumns = [headline, ...columns].filter(({ kind }) => kind === 'limited');
  return new Set([...inColumns, ...PERCENTILES].map(({ figure }) => figure));
}

function summariseRow(
  row: string,
  trials: readonly Trial[],
  shape: ShapeView,
  limited: ReadonlySet<string>,
): RowSummary {
  const all = trials.filter((trial) => trial.row === row);
  const counted = all.filter(({ voidBecause }) => voidBecause === null);
  const free = counted.filter(({ driverBound }) => !driverBound);
  const names = new Set(counted.flatMap(({ figures }) => Object.keys(figures)));
  const figures = new Map(
    [...names].map((name) => {
      const isLimited = limited.has(name);
      const speaking = isLimited && free.length > 0 ? free : counted;
      return [name, figureOf(speaking, name, isLimited && free.length === 0)] as const;
    }),
  );
  return {
    row,
    counted: counted.length,
    driverBound: counted.length - free.length,
    voided: all.length - counted.length,
    headline: figures.get(shape.headline.figure) ?? NOTHING,
    ratio: NaN,
    figures,
    checks: sumOfChecks(all),
  };
}

function figureOf(trials: readonly Trial[], name: string, isStarred: boolean): Figure {
  const values = trials.map(({ figures }) => figures[name] ?? NaN).filter(Number.isFinite);
  if (values.length === 0) return NOTHING;
  return { median: median(values), low: Math.min(...values), high: Math.max(...values), values, isStarred };
}

/** Correctness counts every trial, not medians, and void ones too. */
function sumOfChecks(trials: readonly Trial[]): Checks {
  const total = (pick: (checks: Checks) => number): number =>
    trials.reduce((sum, { checks }) => sum + pick(checks), 0);
  return {
    lost: total(({ lost }) => lost),
    repeated: total(({ repeated }) => repeated),
    reordered: total(({ reordered }) => reordered),
    trouble: total(({ trouble }) => trouble),
    firstTrouble: trials.find(({ checks }) => checks.firstTrouble !== null)?.checks.firstTrouble ?? null,
  };
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!;
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}
