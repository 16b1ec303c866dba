/** `npm run bench`: runs a scenario, row by row, and writes down what came of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FAN_OUT } from './scenarios/fan-out.ts';
import { summarise } from './scenarios/summary.ts';
import { table } from './scenarios/table.ts';
import { runTrial, type Shape, type Trial, type TrialOptions } from './scenarios/trial.ts';
import { CONTENDERS, CONTROL, contenderNamed, ROOMCAST_MAIN } from './server/contenders.ts';
import { describeMachine } from './system/machine.ts';

const SCENARIOS: Readonly<Record<string, readonly Shape[]>> = { 'fan-out': FAN_OUT };

/** This file runs from `bench/dist/bench`. */
const RESULTS = fileURLToPath(new URL('../../results/', import.meta.url));

/** Rounds in which void trials are done again before a row has to do with fewer. */
const SPARE_ROUNDS = 4;

const USAGE = `usage: npm run bench -- [scenario] [options]
  scenario            ${Object.keys(SCENARIOS).join(', ')} (default: fan-out)
  --shapes a,b        only these of its shapes
  --rows a,b          only these rows: ${CONTENDERS.map(({ name }) => name).join(', ')}
  --repetitions n     default 3; 5 for the record
  --seconds n         of measurement in a trial (default 3)
  --warm-up n         seconds of load before it (default 2)
  --drivers n         driver processes (default 1)
  --server-core n     default 0;  --driver-core n  default 1
  --main file         the built broker to measure (default: dist/main.js)
  --profile dir       each server writes a CPU profile there when it ends
`;

interface Request {
  readonly scenario: string;
  readonly shapes: readonly Shape[];
  readonly rows: readonly string[];
  readonly repetitions: number;
  readonly trial: TrialOptions;
}

function readArguments(): Request {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      shapes: { type: 'string' },
      rows: { type: 'string', default: CONTENDERS.map(({ name }) => name).join(',') },
      repetitions: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      'warm-up': { type: 'string', default: '2' },
      drivers: { type: 'string', default: '1' },
      'server-core': { type: 'string', default: '0' },
      'driver-core': { type: 'string', default: '1' },
      main: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const scenario = positionals[0] ?? 'fan-out';
  const shapes = SCENARIOS[scenario];
  if (!shapes) throw new Error(`there is no scenario "${scenario}"`);
  const wanted = values.shapes?.split(',');
  const driverCore = Number(values['driver-core']);
  const drivers = Array.from({ length: Number(values.drivers) }, () => driverCore);
  return {
    scenario,
    shapes: wanted ? shapes.filter(({ name }) => wanted.includes(name)) : shapes,
    rows: values.rows.split(','),
    repetitions: Number(values.repetitions),
    trial: {
      cores: { server: Number(values['server-core']), redis: driverCore, drivers },
      warmUpSeconds: Number(values['warm-up']),
      seconds: Number(values.seconds),
      roomcastMain: values.main === undefined ? ROOMCAST_MAIN : resolve(values.main),
      profileDir: values.profile ?? null,
    },
  };
}

/** Rows take turns, so that what changes on the machine meanwhile hits all of them. */
async function runShape(shape: Shape, request: Request): Promise<Trial[]> {
  const trials: Trial[] = [];
  const isComplete = (row: string): boolean =>
    trials.filter((trial) => trial.row === row && trial.voidBecause === null).length >= request.repetitions;
  for (let round = 0; round < request.repetitions + SPARE_ROUNDS; round++) {
    for (const row of request.rows) {
      if (isComplete(row)) continue;
      const trial = await runTrial(contenderNamed(row), shape, request.trial);
      trials.push(trial);
      process.stderr.write(`${describeTrial(trial)}\n`);
    }
  }
  return trials;
}

function describeTrial({ shape, row, phase, serverUs, driverBound, voidBecause }: Trial): string {
  const cost = `${(serverUs / phase.delivered).toFixed(3)} us per delivery`;
  const limit = driverBound ? ' (driver at its limit)' : '';
  const trouble = phase.firstTrouble === null ? '' : `; trouble: ${phase.firstTrouble}`;
  return `  ${shape} ${row}: ${cost}${limit}${voidBecause === null ? '' : `; void: ${voidBecause}`}${trouble}`;
}

async function main(): Promise<void> {
  const request = readArguments();
  const machine = describeMachine();
  const { cpu, cores, kernel, node, redis } = machine;
  let text = `${request.scenario}, ${machine.takenAt}: ${cpu} x ${cores}, Linux ${kernel}, Node ${node}, Redis ${redis}\n`;
  if (machine.connectionTracking)
    process.stderr.write('connection tracking is on: sends cost more than they should\n');
  const raw: Trial[] = [];
  for (const shape of request.shapes) {
    const trials = await runShape(shape, request);
    raw.push(...trials);
    const part = `\n${shape.name}: ${shape.what}\n${table(summarise(trials, CONTROL))}\n`;
    process.stdout.write(part);
    text += part;
  }
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${request.scenario}.txt`, text);
  writeFileSync(
    `${RESULTS}${request.scenario}.raw.json`,
    JSON.stringify({ machine, request, trials: raw }, null, 1),
  );
}

// An exit, unlike the signal itself, takes the servers along.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 1;
}
