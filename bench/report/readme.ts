/** `report`: renders everything anew from what is recorded. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../scenarios/scenario.ts';
import { measuredLines, scenarioDigest, scenarioSection } from './page.ts';
import { inTermsOf, type ScenarioRecord } from './record.ts';
import { readRecord, writeRecord } from './record-files.ts';

/** Where results and the pages that show them are. */
export interface ReportPaths {
  readonly results: string;
  readonly benchReadme: string;
  readonly topReadme: string;
}

/**
 * Makes the pages and pictures of all recorded scenarios again and puts the tables into both READMEs. Returns the scenarios that
 * were rendered. Throws where nothing is recorded or a README lacks its markers; then no README is changed.
 */
export function report(scenarios: readonly Scenario[], paths: ReportPaths): string[] {
  const records = scenarios.flatMap((scenario) => {
    const record = readRecord(paths.results, scenario.name);
    return record ? [inTermsOf(scenario, record)] : [];
  });
  if (records.length === 0) throw new Error(`nothing is recorded in ${paths.results}`);
  for (const record of records) writeRecord(paths.results, record);
  const pages = [
    { path: paths.benchReadme, marker: 'results', body: records.map((record) => section(record, paths)) },
    {
      path: paths.topReadme,
      marker: 'bench',
      body: [...records.map(scenarioDigest), measuredLines(records)],
    },
  ];
  const texts = pages.map(({ path, marker, body }) =>
    replaceBetween(readFileSync(path, 'utf8'), marker, body.join('\n\n'), path),
  );
  pages.forEach(({ path }, i) => {
    writeFileSync(path, texts[i]!);
  });
  return records.map(({ scenario }) => scenario);
}

function section(record: ScenarioRecord, { results }: ReportPaths): string {
  const svg = `${record.scenario}.svg`;
  return scenarioSection(record, existsSync(join(results, svg)) ? `results/${svg}` : null);
}

/** What stands between `<!-- name:begin -->` and `<!-- name:end -->` becomes the body. Throws, naming the file, without both. */
export function replaceBetween(text: string, name: string, body: string, path: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${path} needs ${begin} and, after it, ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${body}\n\n${text.slice(to)}`;
}
