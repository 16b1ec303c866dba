/**
 * The parts of a benchmark. A scenario asks a question in one or more shapes; each shape runs several rows.
 */
import type { Contender } from '../server/contender.ts';
import type { Cores } from '../server/running-server.ts';

/** The options of a run, for all of its trials. */
export interface BenchOptions {
  readonly cores: Cores;
  readonly warmUpSeconds: number;
  /** Seconds of measurement, for shapes with load. */
  readonly seconds: number;
  /** The built broker. */
  readonly roomcastMain: string;
  /** Where each server writes a CPU profile when it ends, or null. */
  readonly profileDir: string | null;
}

/** Errors that no noise excuses. */
export interface Checks {
  /** Deliveries that should have arrived and did not. */
  readonly lost: number;
  readonly repeated: number;
  readonly reordered: number;
  /** Error frames, closes, misrouted messages; the first in words. */
  readonly trouble: number;
  readonly firstTrouble: string | null;
}

/** One row, once. */
export interface Trial {
  readonly shape: string;
  readonly row: string;
  /** By name; NaN where there is none. Times are in microseconds, memory in bytes, rates per second, shares of 1. */
  readonly figures: Readonly<Record<string, number>>;
  readonly checks: Checks;
  /** The driver's core was full: rates and latencies are the driver's. The server's cost is valid. */
  readonly driverBound: boolean;
  /** Why the trial does not count at all, or null. */
  readonly voidBecause: string | null;
}

export interface Column {
  readonly head: string;
  /** Name of a figure of the trials. Its median is shown. */
  readonly figure: string;
  readonly digits: number;
  /**
   * `share` is shown in percent; `limited` is a rate or latency, which describes the driver if that was the
   * limit.
   */
  readonly kind?: 'share' | 'limited';
  /** The row to compare its values with, if not the shape's control: shown in brackets. */
  readonly ratioTo?: string;
}

/** A target for a row: a figure, or its ratio to that of another row, within a limit. */
export interface Goal {
  readonly row: string;
  /** The headline's or a column's. */
  readonly figure: string;
  /** Row whose figure it is divided by. */
  readonly to?: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Shape {
  readonly name: string;
  /** One line: the members and the load. */
  readonly what: string;
  /** Names of contenders, in the order in which they are shown. */
  readonly rows: readonly string[];
  /** The row that ratios refer to. */
  readonly control: string;
  /** The figure to compare. Less is better. */
  readonly headline: Column;
  readonly columns: readonly Column[];
  /** Targets; shown as met or missed. */
  readonly goals?: readonly Goal[];
  /** Starts what it needs, measures, and stops it all. Rejects if the row cannot be measured. */
  run(contender: Contender, options: BenchOptions): Promise<Trial>;
}

export interface Scenario {
  readonly name: string;
  readonly question: string;
  readonly shapes: readonly Shape[];
}
