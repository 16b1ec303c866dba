/** `npm run bench`: runs scenarios, row by row, and records the results. */
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tolerateClosedPipes } from '../src/cli/pipes.ts';
import { type BenchRequest, parseArguments, type Selection, USAGE } from './arguments.ts';
import { goalLines } from './report/goals.ts';
import { report } from './report/readme.ts';
import { merged, rounded, type ShapeRecord } from './report/record.ts';
import { readRecord, writeRecord } from './report/record-files.ts';
import { summarise } from './report/summary.ts';
import { textTable } from './report/table.ts';
import { runRounds } from './rounds.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { contenderNamed, ROOMCAST_MAIN } from './server/contenders.ts';
import { describeMachine } from './system/machine.ts';
import { describeVersions } from './system/versions.ts';

/** The checkout. This file runs from `bench/dist/bench`. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const RESULTS = join(ROOT, 'bench/results');
const LATEST = join(RESULTS, 'latest');

/** Returns the exit code: 1 if a row was given up. */
async function run(request: BenchRequest): Promise<number> {
  const contenders = request.selections.flatMap(({ shapes }) => shapes.flatMap(({ rows }) => rows));
  // Find a misspelt row now, not after an hour.
  for (const name of contenders) contenderNamed(name);
  if (describeMachine().connectionTracking)
    say('connection tracking is on: sends cost more than they should');
  let failed = 0;
  for (const selection of request.selections) failed += await runScenario(selection, request);
  return failed > 0 ? 1 : 0;
}

/**
 * Results are written after each shape, so that an interrupted long run is not lost. Returns how many rows
 * failed.
 */
async function runScenario({ scenario, shapes }: Selection, request: BenchRequest): Promise<number> {
  const isRecorded = request.record || !request.isPartial;
  const directory = isRecorded ? RESULTS : LATEST;
  const before = isRecorded ? readRecord(RESULTS, scenario.name) : null;
  const done: ShapeRecord[] = [];
  let failed = 0;
  print(`\n${scenario.name}: ${scenario.question}\n`);
  for (const selected of shapes) {
    const { record, failures } = await runShape(selected, request);
    print(`\n${record.name}: ${record.what}\n`);
    const summaries = summarise(record, record.trials);
    const lines = [textTable(record, summaries, record.remarks), ...goalLines(record, summaries)];
    print(`${lines.join('\n')}\n`);
    done.push(record);
    failed += failures;
    writeRecord(directory, merged(scenario, before, done));
  }
  say(`written to ${relative(process.cwd(), join(directory, scenario.name))}.{json,md,svg}`);
  return failed;
}

async function runShape(
  { shape, rows }: Selection['shapes'][number],
  request: BenchRequest,
): Promise<{ record: ShapeRecord; failures: number }> {
  const { repetitions, options } = request;
  const { run: _, ...view } = shape;
  const contenders = rows.map(contenderNamed);
  const machine = describeMachine();
  const { trials, remarks, failed } = await runRounds(shape, contenders, repetitions, options, say);
  const record: ShapeRecord = {
    ...view,
    remarks,
    machine: { ...machine, kernel: machine.kernel.replace(/-.*/, '') },
    versions: describeVersions(ROOT, options.roomcastMain),
    terms: termsOf(request),
    legend: Object.fromEntries(contenders.map((contender) => [contender.name, contender.what])),
    trials: trials.map(rounded),
  };
  return { record, failures: failed.length };
}

function termsOf({ repetitions, options }: BenchRequest): ShapeRecord['terms'] {
  const { cores, seconds, warmUpSeconds, profileDir } = options;
  return {
    ...{ repetitions, warmUpSeconds, seconds },
    serverCore: cores.server,
    driverCores: cores.drivers,
    isProfiled: profileDir !== null,
  };
}

function list({ selections }: BenchRequest): void {
  for (const { scenario, shapes } of selections) {
    print(`${scenario.name}: ${scenario.question}\n`);
    for (const { shape, rows } of shapes) {
      print(`  ${shape.name}: ${shape.what}\n    rows: ${rows.map(withAvailability).join(', ')}\n`);
    }
  }
}

function withAvailability(row: string): string {
  const why = contenderNamed(row).unavailable?.() ?? null;
  return why === null ? row : `${row} (${why})`;
}

function renderAnew(): void {
  const labBook = join(ROOT, 'bench/README.md');
  const names = report(SCENARIOS, { results: RESULTS, labBook, digest: join(ROOT, 'docs/benchmarks.md') });
  say(`rendered ${names.join(', ')}`);
}

async function main(): Promise<number> {
  const request = parseArguments(process.argv.slice(2), SCENARIOS, ROOMCAST_MAIN);
  if (request.command === 'run') return run(request);
  if (request.command === 'gate') return (await import('./gate/gate.ts')).runGate(request, ROOT, print, say);
  if (request.command === 'floods') {
    const { roomcastMain, cores } = request.options;
    return (await import('./floods/floods.ts')).runFloods(
      { ...request.floods, roomcastMain, cores },
      print,
      say,
    );
  }
  if (request.command === 'hostile') {
    const { roomcastMain, cores } = request.options;
    const options = { ...request.hostile, roomcastMain, cores, root: ROOT };
    return (await import('./hostile/hostile.ts')).runHostile(options, print, say);
  }
  if (request.command === 'resubscribe') {
    const options = { rooms: request.rooms, roomcastMain: request.options.roomcastMain };
    return (await import('./resubscribe/resubscribe.ts')).runResubscribe(options, print, say);
  }
  if (request.command === 'help') print(USAGE);
  if (request.command === 'list') list(request);
  if (request.command === 'report') renderAnew();
  return 0;
}

function print(text: string): void {
  process.stdout.write(text);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

tolerateClosedPipes();
// An exit, unlike the signal itself, also stops the servers.
for (const [signal, code] of [
  ['SIGHUP', 129] as const,
  ['SIGINT', 130] as const,
  ['SIGTERM', 143] as const,
]) {
  process.once(signal, () => process.exit(code));
}

try {
  process.exitCode = await main();
} catch (error) {
  say(`${error instanceof Error ? error.message : String(error)}\n(see --help)`);
  process.exitCode = 1;
}
