/** Records on disk: `<scenario>.json`, and the page and picture made from it. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Checks } from '../scenarios/scenario.ts';
import { scenarioPage } from './page.ts';
import { plot } from './plot.ts';
import type { ScenarioRecord, ShapeRecord } from './record.ts';
import { summarise } from './summary.ts';

/** Changes with the file format. */
const FORMAT = 1;

/** Null if there is no such file. Throws for another format. */
export function readRecord(directory: string, scenario: string): ScenarioRecord | null {
  const path = join(directory, `${scenario}.json`);
  return existsSync(path) ? fromJson(readFileSync(path, 'utf8'), path) : null;
}

/** Writes `<scenario>.json`, `.md` and, if there is anything to draw, `.svg`. */
export function writeRecord(directory: string, record: ScenarioRecord): void {
  mkdirSync(directory, { recursive: true });
  const path = (extension: string): string => join(directory, `${record.scenario}.${extension}`);
  const svg = plot(record.shapes.map((view) => ({ view, summaries: summarise(view, view.trials) })));
  if (svg === '') rmSync(path('svg'), { force: true });
  else writeFileSync(path('svg'), svg);
  writeFileSync(path('json'), toJson(record));
  writeFileSync(path('md'), `${scenarioPage(record, svg === '' ? null : `${record.scenario}.svg`)}\n`);
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
