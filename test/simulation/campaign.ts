/** A campaign: seeds of many runs, with a line of JSON for each in a file, so that the next run goes on where the last one stopped. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { RunResult } from './world/run.ts';
import type { ShapeName } from './world/shapes.ts';

export interface CampaignLine {
  readonly shape: ShapeName;
  readonly seed: number;
  /** What was run, where git says so. */
  readonly commit: string | null;
  readonly simulatedMs: number;
  /** The part of it in which anything happens. */
  readonly stormMs: number;
  readonly realMs: number;
  /** Time of a processor: the same on a busy machine. */
  readonly cpuMs: number;
  readonly published: number;
  readonly deliveries: number;
  readonly clientCuts: number;
  /** All that was counted, faults by kind among it. */
  readonly counts: RunResult['counts'];
  readonly digest: string;
  /** The first ones. */
  readonly violations: readonly string[];
}

const MOST_VIOLATIONS = 5;

export interface Cost {
  readonly realMs: number;
  readonly cpuMs: number;
}

export function lineOf(result: RunResult, shape: ShapeName, commit: string | null, cost: Cost): CampaignLine {
  const { seed, simulatedMs, stormMs, counts, digest, violations } = result;
  const { publishes: published = 0, messages: deliveries = 0, clientCuts = 0 } = counts;
  return {
    shape,
    seed,
    commit,
    simulatedMs: Math.round(simulatedMs),
    stormMs,
    realMs: Math.round(cost.realMs),
    cpuMs: Math.round(cost.cpuMs),
    published,
    deliveries,
    clientCuts,
    counts,
    digest,
    violations: violations.slice(0, MOST_VIOLATIONS),
  };
}

/** What a file says so far. A last line that was cut off is left out. */
export function readCampaign(file: string): CampaignLine[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as CampaignLine);
}

export function append(file: string, line: CampaignLine): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** The first seed of a shape that was not run. */
export function nextSeed(lines: readonly CampaignLine[], shape: ShapeName, first: number): number {
  return lines.reduce((next, line) => (line.shape === shape ? Math.max(next, line.seed + 1) : next), first);
}

/** How a person runs the same again. */
export function replayOf({ shape, seed }: Pick<CampaignLine, 'shape' | 'seed'>): string {
  return `npm run simulate -- --shape ${shape} --seed ${seed}`;
}
