/** Parses the arguments of `npm run bench -- ...`. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { FloodOptions } from './floods/floods.ts';
import type { HostileOptions } from './hostile/hostile.ts';
import type { BenchOptions, Scenario, Shape } from './scenarios/scenario.ts';

const COMMANDS = ['list', 'report', 'gate', 'floods', 'hostile', 'resubscribe'] as const;

export interface Selection {
  readonly scenario: Scenario;
  readonly shapes: readonly { readonly shape: Shape; readonly rows: readonly string[] }[];
}

export interface BenchRequest {
  readonly command: 'run' | 'help' | (typeof COMMANDS)[number];
  /** What to run or show: shapes without any of the requested rows are left out. */
  readonly selections: readonly Selection[];
  readonly repetitions: number;
  /** Fewer than all rows of all shapes, in full length and of this build: not recorded unless requested. */
  readonly isPartial: boolean;
  readonly record: boolean;
  /** Of the floods. */
  readonly floods: Pick<FloodOptions, 'only' | 'backplanes'>;
  /** Of resubscribe. */
  readonly rooms: number;
  readonly hostile: Pick<HostileOptions, 'seed' | 'inputs' | 'perSecond' | 'backplanes'>;
  /** Of the gate: counts only. */
  readonly isShort: boolean;
  readonly options: BenchOptions;
}

const FULL = { repetitions: 5, seconds: 2, 'warm-up': 4 };

export const USAGE = `usage: npm run bench -- [command] [scenario ...] [options]

  (no command)        runs the scenarios that are named, or all of them, one after the other
  list                the scenarios, their shapes and the rows of each
  report              makes pages, pictures and the tables in bench/README.md and docs/benchmarks.md anew from bench/results/*.json
  gate                counts what a message costs in system calls, codec calls and memory, measures fan-out again, and fails
                      where a limit is passed or a ratio to the control row is 1.3 times the recorded one
  floods              attacks a node in one way after another, and measures what that does to others (--rows: only those attacks
                      whose names contain one of these; --shapes memory or redis: only there; --main: another build)
  hostile             sends malformed and forged input of every kind at a steady rate, and measures what others notice
                      (--inputs, --rate, --seed; --shapes and --main as above)
  resubscribe         takes the subscribe links of a node with many rooms, and measures what it costs Redis to have them all
                      subscribed again: one Redis, and a cluster of three masters (--rooms)

options
  --shapes a,b        only these shapes (see list)
  --rows a,b          only these rows; the ratio needs the shape's control row among them
  --repetitions n     trials that count, for each row and shape (default ${FULL.repetitions})
  --seconds n         of measurement in a trial (default ${FULL.seconds})
  --warm-up n         seconds of load before it (default ${FULL['warm-up']})
  --drivers n         driver processes, all on the driver's core (default 1)
  --server-core n     default 0
  --driver-core n     default 1; Redis runs there too
  --main file         the built broker to measure (default: dist/main.js)
  --profile dir       each server writes a CPU profile there when it ends
  --short             of the gate: counts only, nothing that noise could move
  --record            writes a partial run to bench/results, too
  --inputs n          of hostile: how many (default 500000)
  --rate n            of hostile: how many a second (default 4000)
  --seed n            of hostile: sends the inputs of another run again
  --rooms n           of resubscribe: that many rooms
  --pipelining n      HTTP requests under way on one connection: 1, as nodes answer no more
  --help              this

A full run is written to bench/results/<scenario>.{json,md,svg}; a partial one (--shapes, --rows, --main, --profile, or less than
the default of repetitions and seconds) to bench/results/latest. With --record it goes to bench/results: the shapes that
were run take the place of those recorded, rows and all, and the others stay.
`;

const OPTIONS = {
  shapes: { type: 'string' },
  rows: { type: 'string' },
  repetitions: { type: 'string', default: String(FULL.repetitions) },
  seconds: { type: 'string', default: String(FULL.seconds) },
  'warm-up': { type: 'string', default: String(FULL['warm-up']) },
  drivers: { type: 'string', default: '1' },
  'server-core': { type: 'string', default: '0' },
  'driver-core': { type: 'string', default: '1' },
  main: { type: 'string' },
  profile: { type: 'string' },
  record: { type: 'boolean', default: false },
  short: { type: 'boolean', default: false },
  inputs: { type: 'string', default: '500000' },
  rate: { type: 'string', default: '4000' },
  seed: { type: 'string' },
  rooms: { type: 'string', default: '100000' },
  pipelining: { type: 'string', short: 'p', default: '1' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
}

/**
 * `args`: without program and script; `roomcastMain` is measured unless `--main` says otherwise. Throws,
 * saying what is wrong.
 */
export function parseArguments(
  args: readonly string[],
  scenarios: readonly Scenario[],
  roomcastMain: string,
): BenchRequest {
  const { values, positionals } = parse(args);
  refusePipelining(values.pipelining);
  const command = COMMANDS.find((name) => name === positionals[0]);
  const named = command === undefined ? positionals : positionals.slice(1);
  const repetitions = wholeOf(values, 'repetitions', 1);
  const options = optionsOf(values, roomcastMain);
  return {
    command: values.help ? 'help' : (command ?? 'run'),
    selections: takesScenarios(command) ? select(scenarios, named, values) : [],
    rooms: wholeOf(values, 'rooms', 1),
    // Names of attacks have commas before spaces and digits.
    floods: { only: values.rows?.split(/,(?![ \d])/) ?? [], backplanes: backplanesOf(values) },
    hostile: hostileOf(values),
    repetitions,
    isPartial: isPartial(values, repetitions, options),
    record: values.record,
    isShort: values.short,
    options,
  };
}

function takesScenarios(command: (typeof COMMANDS)[number] | undefined): boolean {
  return command !== 'floods' && command !== 'hostile' && command !== 'resubscribe';
}

/** autocannon's `-p`: with more than 1, most requests would be lost silently. */
function refusePipelining(pipelining: string): void {
  if (pipelining === '1') return;
  throw new Error(
    `--pipelining ${pipelining}: must be 1. A node closes a connection whose next request comes before the last one is answered`,
  );
}

function optionsOf(values: Values, roomcastMain: string): BenchOptions {
  const driverCore = wholeOf(values, 'driver-core', 0);
  const drivers = Array.from({ length: wholeOf(values, 'drivers', 1) }, () => driverCore);
  return {
    cores: { server: wholeOf(values, 'server-core', 0), redis: driverCore, drivers },
    warmUpSeconds: secondsOf(values, 'warm-up'),
    seconds: secondsOf(values, 'seconds'),
    roomcastMain: values.main === undefined ? roomcastMain : resolve(values.main),
    profileDir: values.profile === undefined ? null : resolve(values.profile),
  };
}

function backplanesOf({ shapes }: Values): FloodOptions['backplanes'] {
  const all = ['memory', 'redis'] as const;
  const named = shapes?.split(',') ?? all;
  const wanted = all.filter((backplane) => named.includes(backplane));
  return wanted.length > 0 ? wanted : all;
}

function hostileOf(values: Values): BenchRequest['hostile'] {
  return {
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed),
    inputs: wholeOf(values, 'inputs', 1),
    perSecond: wholeOf(values, 'rate', 1),
    backplanes: backplanesOf(values),
  };
}

function isPartial(values: Values, repetitions: number, { seconds, warmUpSeconds }: BenchOptions): boolean {
  const isNarrow = values.shapes !== undefined || values.rows !== undefined;
  const isShort = repetitions < FULL.repetitions || seconds < FULL.seconds || warmUpSeconds < FULL['warm-up'];
  const isElsewhere =
    values.drivers !== '1' || values['server-core'] !== '0' || values['driver-core'] !== '1';
  return isNarrow || isElsewhere || isShort || values.main !== undefined || values.profile !== undefined;
}

function select(scenarios: readonly Scenario[], named: readonly string[], values: Values): Selection[] {
  const shapes = values.shapes?.split(',');
  const rows = values.rows?.split(',');
  known('scenario', named, namesOf(scenarios));
  const wanted = scenarios.filter(({ name }) => named.length === 0 || named.includes(name));
  const all = wanted.flatMap((scenario) => scenario.shapes);
  known('shape', shapes ?? [], namesOf(all));
  const chosen = all.filter(({ name }) => shapes?.includes(name) ?? true);
  known('row', rows ?? [], [...new Set(chosen.flatMap((shape) => shape.rows))]);
  const selections = wanted.map((scenario) => ({
    scenario,
    shapes: scenario.shapes
      .filter((shape) => chosen.includes(shape))
      .map((shape) => ({ shape, rows: shape.rows.filter((row) => rows?.includes(row) ?? true) }))
      .filter((one) => one.rows.length > 0),
  }));
  return selections.filter((selection) => selection.shapes.length > 0);
}

function namesOf(things: readonly { readonly name: string }[]): string[] {
  return [...new Set(things.map(({ name }) => name))];
}

function known(what: string, wanted: readonly string[], names: readonly string[]): void {
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`unknown ${what} "${unknown}": choose from ${names.join(', ')}`);
}

function wholeOf(
  values: Values,
  name: 'repetitions' | 'drivers' | 'server-core' | 'driver-core' | 'inputs' | 'rate' | 'rooms',
  least: number,
): number {
  const value = Number(values[name]);
  if (values[name] !== '' && Number.isInteger(value) && value >= least) return value;
  throw new Error(`--${name} must be a whole number of at least ${least}, got "${values[name]}"`);
}

function secondsOf(values: Values, name: 'seconds' | 'warm-up'): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} must be a number of seconds above 0, got "${values[name]}"`);
}
