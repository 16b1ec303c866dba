/** What is kept of a run: a JSON file for each scenario, from which everything else is made. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Checks, Scenario, Trial } from '../scenarios/scenario.ts';
import type { Machine } from '../system/machine.ts';
import { scenarioPage } from './page.ts';
import { plot } from './plot.ts';
import { type ShapeView, summarise } from './summary.ts';
import type { Remarks } from './table.ts';

/** How a shape was measured. */
export interface Terms {
  readonly repetitions: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly serverCore: number;
  readonly driverCores: readonly number[];
  /** A server that writes a profile pays for it. */
  readonly isProfiled: boolean;
}

/** One shape as it was measured: shapes of a scenario may come from different days and machines. */
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

/** Changes with the form of the file. */
const FORMAT = 1;
/** Of figures in the file: a trial is not more exact than that. */
const SIGNIFICANT_DIGITS = 6;

/** Null where there is no such file. Throws where it is of another format. */
export function readRecord(directory: string, scenario: string): ScenarioRecord | null {
  const path = join(directory, `${scenario}.json`);
  return existsSync(path) ? fromJson(readFileSync(path, 'utf8'), path) : null;
}

/** Writes `<scenario>.json`, `.md` and `.svg`, the latter where there is anything to draw. */
export function writeRecord(directory: string, record: ScenarioRecord): void {
  mkdirSync(directory, { recursive: true });
  const path = (extension: string): string => join(directory, `${record.scenario}.${extension}`);
  const svg = plot(record.shapes.map((view) => ({ view, summaries: summarise(view, view.trials) })));
  if (svg === '') rmSync(path('svg'), { force: true });
  else writeFileSync(path('svg'), svg);
  writeFileSync(path('json'), toJson(record));
  writeFileSync(path('md'), `${scenarioPage(record, svg === '' ? null : `${record.scenario}.svg`)}\n`);
}

/** The new shapes in place of those of the same name, in the scenario's order. Shapes that it no longer has are dropped. */
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

/** As it was measured, but shown as the scenario shows it today: a new column needs no new run. */
export function inTermsOf(scenario: Scenario, record: ScenarioRecord): ScenarioRecord {
  const current = merged(scenario, record, []);
  const shapes = current.shapes.map((shape) => {
    const now = scenario.shapes.find(({ name }) => name === shape.name)!;
    const { rows, control, headline, columns, goals = [] } = now;
    return { ...shape, rows, control, headline, columns, goals };
  });
  return { ...current, shapes };
}

/** What the file will hold: figures are rounded before anything is made of them, so that `report` gives the same. */
export function rounded(trial: Trial): Trial {
  const figures = Object.entries(trial.figures).map(([name, value]) => [name, roundedFigure(value)] as const);
  return { ...trial, figures: Object.fromEntries(figures) };
}

function roundedFigure(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(SIGNIFICANT_DIGITS)) : NaN;
}

/** One line for each trial, so that a diff shows which. */
function toJson({ scenario, question, shapes }: ScenarioRecord): string {
  const parts = shapes.map(({ trials, ...shape }) => {
    const lines = trials.map(({ shape: _, ...trial }) => JSON.stringify(trial));
    const head = Object.entries(shape).map(
      ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
    );
    return `{\n${[...head, `"trials":[\n${lines.join(',\n')}\n]`].join(',\n')}\n}`;
  });
  const head = Object.entries({ format: FORMAT, scenario, question });
  const lines = head.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return `{\n${[...lines, `"shapes":[${parts.join(',')}]`].join(',\n')}\n}\n`;
}

interface StoredTrial {
  readonly row: string;
  /** JSON has no NaN. */
  readonly figures: Readonly<Record<string, number | null>>;
  readonly checks: Checks;
  readonly driverBound: boolean;
  readonly voidBecause: string | null;
}

interface StoredRecord {
  readonly format: number;
  readonly scenario: string;
  readonly question: string;
  readonly shapes: readonly (Omit<ShapeRecord, 'trials'> & { readonly trials: readonly StoredTrial[] })[];
}

function fromJson(text: string, path: string): ScenarioRecord {
  const stored = JSON.parse(text) as StoredRecord;
  if (stored.format !== FORMAT) throw new Error(`${path} is of format ${stored.format}, not ${FORMAT}`);
  const { scenario, question } = stored;
  const shapes = stored.shapes.map((shape) => ({
    ...shape,
    trials: shape.trials.map((trial) => ({ ...trial, shape: shape.name, figures: numbers(trial.figures) })),
  }));
  return { scenario, question, shapes };
}

function numbers(figures: StoredTrial['figures']): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, value ?? NaN]));
}
