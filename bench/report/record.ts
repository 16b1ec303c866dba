/** What is kept of a run: a record for each scenario, from which everything else is made. */
import type { Scenario, Trial } from '../scenarios/scenario.ts';
import type { Machine } from '../system/machine.ts';
import type { ShapeView } from './summary.ts';
import type { Remarks } from './table.ts';

/** How a shape was measured. */
interface Terms {
  readonly repetitions: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly serverCore: number;
  readonly driverCores: readonly number[];
  /** A server that writes a profile pays for it. */
  readonly isProfiled: boolean;
}

/** One measured shape: shapes of a scenario may come from different days and machines. */
export interface ShapeRecord extends ShapeView {
  readonly machine: Machine;
  /** Of the broker, with its git commit, and of the packages that rows are made of. */
  readonly versions: Readonly<Record<string, string>>;
  readonly terms: Terms;
  /** What each row is, by its name. */
  readonly legend: Readonly<Record<string, string>>;
  readonly remarks: Remarks;
  readonly trials: readonly Trial[];
}

export interface ScenarioRecord {
  readonly scenario: string;
  readonly question: string;
  readonly shapes: readonly ShapeRecord[];
}

/** Precision of figures in the file: a trial is not more exact than that. */
const SIGNIFICANT_DIGITS = 6;

/**
 * Replaces shapes of the same name, in the scenario's order. Drops shapes that the scenario no longer has.
 */
export function merged(
  scenario: Scenario,
  before: ScenarioRecord | null,
  shapes: readonly ShapeRecord[],
): ScenarioRecord {
  const known = [...shapes, ...(before?.shapes ?? [])];
  return {
    scenario: scenario.name,
    question: scenario.question,
    shapes: scenario.shapes.flatMap(({ name }) => known.find((shape) => shape.name === name) ?? []),
  };
}

/** As measured, but shown as the scenario shows it today: a new column needs no new run. */
export function inTermsOf(scenario: Scenario, record: ScenarioRecord): ScenarioRecord {
  const current = merged(scenario, record, []);
  const shapes = current.shapes.map((shape) => {
    const now = scenario.shapes.find(({ name }) => name === shape.name)!;
    const { rows, control, headline, columns, goals = [] } = now;
    return { ...shape, rows, control, headline, columns, goals };
  });
  return { ...current, shapes };
}

/** What the file will contain: figures are rounded before use, so that `report` gives the same. */
export function rounded(trial: Trial): Trial {
  const figures = Object.entries(trial.figures).map(([name, value]) => [name, roundedFigure(value)] as const);
  return { ...trial, figures: Object.fromEntries(figures) };
}

function roundedFigure(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(SIGNIFICANT_DIGITS)) : NaN;
}
