/** A record in words: the Markdown of one scenario. */
import { goalLines } from './goals.ts';
import type { ScenarioRecord, ShapeRecord } from './record.ts';
import { summarise } from './summary.ts';
import { markdownOf, markdownTable, ratioText, shown } from './table.ts';

/**
 * `<scenario>.md`: the question, when and where it was measured, the picture, each shape's table, and the
 * rows explained.
 */
export function scenarioPage(record: ScenarioRecord, image: string | null): string {
  return [`# ${record.scenario}`, ...parts(record, image), ...legend(record)].join('\n\n');
}

/** The same as a part of another page, without the legend. */
export function scenarioSection(record: ScenarioRecord, image: string | null): string {
  return [`### ${record.scenario}`, ...parts(record, image)].join('\n\n');
}

/** Only the headlines: a line for each row, a column for each shape, ratios in brackets. */
export function scenarioDigest(record: ScenarioRecord): string {
  const { scenario, question, shapes } = record;
  const rows = [...new Set(shapes.flatMap((shape) => shape.rows))];
  const columns = shapes.map((shape) => {
    const summaries = summarise(shape, shape.trials);
    return {
      head: `${shape.name}, ${shape.headline.head}`,
      cell: (row: string): string => {
        const summary = summaries.find((one) => one.row === row);
        if (!summary || !Number.isFinite(summary.headline.median)) return '-';
        const value = shown(summary.headline, shape.headline);
        const hasRatio = row !== shape.control && Number.isFinite(summary.ratio);
        return hasRatio ? `${value} (${ratioText(summary.ratio)} x)` : value;
      },
    };
  });
  const head = ['', ...columns.map(({ head }) => head)];
  const body = rows.map((row) => [row, ...columns.map(({ cell }) => cell(row))]);
  const told = body.filter(([, ...cells]) => cells.some((cell) => cell !== '-'));
  return [`**${scenario}**: ${question}`, markdownOf([head, ...told])].join('\n\n');
}

/** When and on what everything was measured, a line for each difference. */
export function measuredLines(records: readonly ScenarioRecord[]): string {
  const lines = new Set(records.flatMap(({ shapes }) => shapes.map(measuredLine)));
  return [...lines].map((line) => `- ${line}`).join('\n');
}

/** When, on what, of which commit, how often. */
function measuredLine({ machine, versions, terms }: ShapeRecord): string {
  const { cpu, cores, memoryGiB, kernel, node, redis, connectionTracking, takenAt } = machine;
  return [
    takenAt.slice(0, 10),
    `${cpu} x ${cores}`,
    `${memoryGiB} GiB`,
    `Linux ${kernel}`,
    `Node ${node}`,
    `Redis ${redis}`,
    `Roomcast ${versions.roomcast ?? 'unknown'}`,
    `${terms.repetitions} repetitions of ${terms.seconds} s`,
    ...(connectionTracking ? ['connection tracking on'] : []),
    ...(terms.isProfiled ? ['profiled'] : []),
  ].join(', ');
}

function parts({ scenario, question, shapes }: ScenarioRecord, image: string | null): string[] {
  const lines = new Set(shapes.map(measuredLine));
  const shared = lines.size === 1 ? [...lines] : [];
  return [
    question,
    ...shared,
    ...(image === null ? [] : [`![${scenario}: each row in each shape](${image})`]),
    ...shapes.flatMap((shape) => shapeParts(shape, shared.length === 0)),
  ];
}

function shapeParts(shape: ShapeRecord, withLine: boolean): string[] {
  const summaries = summarise(shape, shape.trials);
  const goals = goalLines(shape, summaries);
  return [
    `**${shape.name}**: ${shape.what}`,
    ...(withLine ? [measuredLine(shape)] : []),
    markdownTable(shape, summaries, shape.remarks),
    ...(goals.length === 0 ? [] : [goals.map((line) => `- ${line}`).join('\n')]),
  ];
}

function legend({ shapes }: ScenarioRecord): string[] {
  const rows = together(shapes.map((shape) => shape.legend));
  const versions = together(shapes.map((shape) => shape.versions));
  const run = new Set(shapes.flatMap(({ trials }) => trials.map(({ row }) => row)));
  return [
    rows.flatMap(([row, what]) => (run.has(row) ? [`- \`${row}\`: ${what}`] : [])).join('\n'),
    versions.map(([name, version]) => `${name} ${version}`).join(', '),
    STAR,
  ];
}

function together(records: readonly Readonly<Record<string, string>>[]): [string, string][] {
  return [...new Map(records.flatMap((record) => Object.entries(record)))];
}

const STAR =
  'A star marks rates and latencies of rows where the driver was the limit in every trial: the server may do better.';
