/** What a campaign adds up to: totals and rates, as Markdown. */
import { type CampaignLine, replayOf } from './campaign.ts';
import { CLUSTER_FAULTS } from './world/cluster-faults.ts';
import { CLIENT_FAULTS, LINK_FAULTS, NODE_FAULTS, REDIS_FAULTS } from './world/faults.ts';
import { machineRows, nameOf } from './world/machines.ts';
import { SHAPE_NAMES } from './world/shapes.ts';

const HOUR_MS = 3_600_000;

interface Totals {
  readonly seeds: number;
  readonly failed: number;
  readonly simulatedHours: number;
  /** Without the calm of each run: rates are of these. */
  readonly stormHours: number;
  readonly realHours: number;
  readonly cpuHours: number;
  readonly published: number;
  readonly deliveries: number;
  readonly clientCuts: number;
  readonly linkCuts: number;
  readonly redisFaults: number;
  readonly nodeFaults: number;
}

function sum(lines: readonly CampaignLine[], of: (line: CampaignLine) => number): number {
  return lines.reduce((total, line) => total + of(line), 0);
}

/** How many faults of some kinds happened. */
function faultsOf(line: CampaignLine, kinds: object): number {
  return Object.keys(kinds).reduce((total, kind) => total + (line.counts[`fault ${kind}`] ?? 0), 0);
}

export function totalsOf(lines: readonly CampaignLine[]): Totals {
  return {
    seeds: lines.length,
    failed: lines.filter(({ violations }) => violations.length > 0).length,
    simulatedHours: sum(lines, ({ simulatedMs }) => simulatedMs) / HOUR_MS,
    stormHours: sum(lines, ({ stormMs }) => stormMs) / HOUR_MS,
    realHours: sum(lines, ({ realMs }) => realMs) / HOUR_MS,
    cpuHours: sum(lines, ({ cpuMs }) => cpuMs) / HOUR_MS,
    published: sum(lines, ({ published }) => published),
    deliveries: sum(lines, ({ deliveries }) => deliveries),
    clientCuts: sum(lines, ({ clientCuts }) => clientCuts),
    linkCuts: sum(lines, ({ counts }) => counts.redisCuts ?? 0),
    redisFaults: sum(lines, (line) => faultsOf(line, { ...REDIS_FAULTS, ...CLUSTER_FAULTS })),
    nodeFaults: sum(lines, (line) => faultsOf(line, NODE_FAULTS)),
  };
}

const shown = (number: number) =>
  number.toLocaleString('en', { maximumFractionDigits: number < 100 ? 2 : 0 });

const COUNTED = [
  ['published', 'published'],
  ['deliveries', 'delivered'],
  ['clientCuts', 'client cuts'],
  ['linkCuts', 'links to Redis cut'],
  ['redisFaults', 'faults of Redis'],
  ['nodeFaults', 'faults of nodes'],
] as const;

function row(name: string, cells: readonly number[]): string {
  return `| ${name} | ${cells.map(shown).join(' | ')} |`;
}

function table(heads: readonly string[], rows: readonly string[]): string {
  return [
    `| ${heads.join(' | ')} |`,
    `| --- | ${heads
      .slice(1)
      .map(() => '---:')
      .join(' | ')} |`,
    ...rows,
  ].join('\n');
}

export function summary(lines: readonly CampaignLine[]): string {
  const groups: [name: string, totals: Totals][] = SHAPE_NAMES.map((shape) =>
    lines.filter((line) => line.shape === shape),
  )
    .filter((some) => some.length > 0)
    .map((some) => [some[0]!.shape, totalsOf(some)]);
  groups.push(['all', totalsOf(lines)]);
  const totals = groups.map(([name, t]) =>
    row(name, [t.seeds, t.failed, t.simulatedHours, t.stormHours, ...COUNTED.map(([key]) => t[key])]),
  );
  const rates = groups.map(([name, t]) =>
    row(name, [
      ...COUNTED.map(([key]) => t[key] / t.stormHours),
      t.simulatedHours / t.cpuHours,
      t.simulatedHours / t.realHours,
    ]),
  );
  const counted = COUNTED.map(([, head]) => head);
  return [
    table(['shape', 'seeds', 'failed', 'simulated hours', 'of them storm', ...counted], totals),
    'For each simulated hour of storm; and simulated hours for each hour of a processor and of the wall clock:',
    table(['shape', ...counted, 'hours per CPU hour', 'hours per hour'], rates),
    table(['fault', 'happened'], kinds(lines)),
    transitions(lines),
    ...failures(lines),
  ].join('\n\n');
}

function kinds(lines: readonly CampaignLine[]): string[] {
  const known = { ...CLIENT_FAULTS, ...LINK_FAULTS, ...REDIS_FAULTS, ...CLUSTER_FAULTS, ...NODE_FAULTS };
  return Object.keys(known).map((kind) =>
    row(kind, [sum(lines, ({ counts }) => counts[`fault ${kind}`] ?? 0)]),
  );
}

/** How often each listed transition was taken: 0 for one that never was. */
function transitions(lines: readonly CampaignLine[]): string {
  const takenOf = (name: string) => shown(sum(lines, ({ counts }) => counts[name] ?? 0));
  const rows = machineRows().map(([machine, from, to]) => {
    const taken = to.map((state) => `${state} ${takenOf(nameOf(machine, from, state))}`);
    return `| ${machine} | ${from} | ${taken.join(', ')} |`;
  });
  return ['| machine | from | to, and how often |', '| --- | --- | --- |', ...rows].join('\n');
}

function failures(lines: readonly CampaignLine[]): string[] {
  const failed = lines.filter(({ violations }) => violations.length > 0);
  if (failed.length === 0) return ['No violations.'];
  return failed.map(
    (line) => `${replayOf(line)}  # at ${line.commit}: ${line.violations[0]?.replace(/\n.*/s, '')}`,
  );
}

/** The same in one line, with all that was counted. */
export function summaryLine(lines: readonly CampaignLine[]): string {
  const counts: Record<string, number> = {};
  for (const line of lines) {
    for (const [what, count] of Object.entries(line.counts)) counts[what] = (counts[what] ?? 0) + count;
  }
  const sorted = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  const rounded = Object.entries(totalsOf(lines)).map(([what, total]) => [what, Number(total.toFixed(3))]);
  return JSON.stringify({ ...Object.fromEntries(rounded), ...Object.fromEntries(sorted) });
}
