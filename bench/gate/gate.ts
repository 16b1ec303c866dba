/** The regression gate: has a message become more expensive? */
import { join } from 'node:path';
import type { BenchRequest } from '../arguments.ts';
import type { ShapeRecord } from '../report/record.ts';
import { readRecord } from '../report/record-files.ts';
import { summarise } from '../report/summary.ts';
import { textTable } from '../report/table.ts';
import { runRounds } from '../rounds.ts';
import { FAN_OUT } from '../scenarios/fan-out.ts';
import type { Shape } from '../scenarios/scenario.ts';
import { contenderNamed } from '../server/contenders.ts';
import { RunningRedis } from '../server/running-redis.ts';
import { canTrace } from './counted-node.ts';
import { countFigures, isWithin } from './figures.ts';

type Say = (text: string) => void;

const SHAPES = ['burst', 'single', 'rooms'];
const ROWS = ['roomcast', 'roomcast-redis'];
const REPETITIONS = 5;
/** Medians of five vary by up to a quarter between runs of unchanged code, mostly due to the control. */
const TOLERANCE = 1.3;

/** `root`: the checkout, built. `print` gets results, `say` progress. Returns the exit code. */
export async function runGate(request: BenchRequest, root: string, print: Say, say: Say): Promise<number> {
  const failures = await count(root, print);
  if (!request.isShort) failures.push(...(await compare(request, root, print, say)));
  for (const failure of failures) print(`FAILED ${failure}\n`);
  if (failures.length === 0) print('passed: nothing has become more expensive\n');
  return failures.length === 0 ? 0 : 1;
}

async function count(root: string, print: Say): Promise<string[]> {
  if (!canTrace()) print('  strace cannot be used here: system calls are not counted\n');
  const redis = await RunningRedis.start(null);
  try {
    const failures: string[] = [];
    for (const [backplane, url] of [['memory', null] as const, ['redis', redis.url] as const]) {
      for (const figure of await countFigures(root, url)) {
        const { what, value, least, most } = figure;
        const line = `${backplane}: ${what}: ${tidy(value)} (${least === most ? most : `${tidy(least)} to ${tidy(most)}`})`;
        print(`  ${line}\n`);
        if (!isWithin(figure)) failures.push(line);
      }
    }
    return failures;
  } finally {
    await redis.stop();
  }
}

function tidy(value: number): number {
  return Number(value.toFixed(4));
}

async function compare(request: BenchRequest, root: string, print: Say, say: Say): Promise<string[]> {
  const record = readRecord(join(root, 'bench/results'), FAN_OUT.name);
  if (record === null) return [`no record to compare with: run npm run bench -- ${FAN_OUT.name}`];
  const failures: string[] = [];
  for (const shape of FAN_OUT.shapes.filter(({ name }) => SHAPES.includes(name))) {
    const before = record.shapes.find(({ name }) => name === shape.name);
    if (before === undefined) failures.push(`${shape.name} is not in the record`);
    else failures.push(...(await compareShape(shape, before, request, print, say)));
  }
  return failures;
}

async function compareShape(
  shape: Shape,
  before: ShapeRecord,
  { options }: BenchRequest,
  print: Say,
  say: Say,
): Promise<string[]> {
  const contenders = [shape.control, ...ROWS].map(contenderNamed);
  const { trials, remarks, failed } = await runRounds(shape, contenders, REPETITIONS, options, say);
  const now = summarise(shape, trials);
  print(`\n${shape.name}: ${shape.what}\n${textTable(shape, now, remarks)}\n`);
  const failures = failed.map((row) => `${shape.name} ${row} could not be measured`);
  for (const recorded of summarise(before, before.trials).filter(({ row }) => ROWS.includes(row))) {
    const { ratio } = now.find(({ row }) => row === recorded.row) ?? { ratio: Number.NaN };
    const line = `${shape.name} ${recorded.row}: ${ratio.toFixed(2)} x ${shape.control}, recorded ${recorded.ratio.toFixed(2)} x`;
    print(`  ${line}\n`);
    if (!(ratio <= recorded.ratio * TOLERANCE)) failures.push(line);
  }
  for (const { row, checks } of now) {
    const wrong = checks.lost + checks.repeated + checks.reordered + checks.trouble;
    if (wrong > 0)
      failures.push(`${shape.name} ${row}: ${wrong} deliveries were lost, repeated, out of order or wrong`);
  }
  return failures;
}
