/** `report`: renders everything again from the records. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../scenarios/scenario.ts';
import { measuredLines, scenarioDigest, scenarioSection } from './page.ts';
import { inTermsOf, type ScenarioRecord } from './record.ts';
import { readRecord, writeRecord } from './record-files.ts';

/** Where results and the pages that show them are. */
export interface ReportPaths {
  readonly results: string;
  /** The lab book: bench/README.md. */
  readonly labBook: string;
  /** For users: docs/benchmarks.md. */
  readonly digest: string;
}

/** A page, and its new content. */
export interface RenderedPage {
  readonly path: string;
  readonly text: string;
}

/**
 * Makes the pages and pictures of all recorded scenarios again and puts the tables into the lab book and the
 * digest. Returns the scenarios that were rendered. Throws where nothing is recorded or one of the two lacks
 * its markers; then neither is changed.
 */
export function report(scenarios: readonly Scenario[], paths: ReportPaths): string[] {
  const records = readRecords(scenarios, paths.results);
  if (records.length === 0) throw new Error(`nothing is recorded in ${paths.results}`);
  for (const record of records) writeRecord(paths.results, record);
  for (const { path, text } of renderPages(records, paths)) writeFileSync(path, text);
  return records.map(({ scenario }) => scenario);
}

/** The records, as the scenarios are today. */
export function readRecords(scenarios: readonly Scenario[], results: string): ScenarioRecord[] {
  return scenarios.flatMap((scenario) => {
    const record = readRecord(results, scenario.name);
    return record ? [inTermsOf(scenario, record)] : [];
  });
}

/** The lab book and the digest with the tables of these records. Throws where one lacks its markers. */
export function renderPages(records: readonly ScenarioRecord[], paths: ReportPaths): RenderedPage[] {
  const sections = records.map((record) => section(record, paths));
  const digests = [...records.map(scenarioDigest), measuredLines(records)];
  return [rendered(paths.labBook, 'results', sections), rendered(paths.digest, 'bench', digests)];
}

function rendered(path: string, marker: string, body: readonly string[]): RenderedPage {
  return { path, text: replaceBetween(readFileSync(path, 'utf8'), marker, body.join('\n\n'), path) };
}

function section(record: ScenarioRecord, { results }: ReportPaths): string {
  const svg = `${record.scenario}.svg`;
  return scenarioSection(record, existsSync(join(results, svg)) ? `results/${svg}` : null);
}

/**
 * Replaces the text between `<!-- name:begin -->` and `<!-- name:end -->`. Throws, naming the file, if either
 * is missing.
 */
export function replaceBetween(text: string, name: string, body: string, path: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${path} needs ${begin} and, after it, ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${body}\n\n${text.slice(to)}`;
}
