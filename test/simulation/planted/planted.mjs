/**
 * `npm run simulate:planted`: plants one fault after the other in the source, and runs seeds until a checker objects. See README.md.
 *
 *   --fault <text>     only faults with this in their names
 *   --seeds <n>        as many seeds at most (default 20)
 *   --seconds <n>      and as long at most (default 60)
 *   --results <file>   JSON lines, where a run goes on: faults that were found are left alone, the others get the seeds that follow
 *   --table            runs nothing: prints what the results say so far
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { bundle } from '../bundle.mjs';

const { values } = parseArgs({
  options: {
    fault: { type: 'string', default: '' },
    seeds: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '60' },
    results: { type: 'string' },
    table: { type: 'boolean', default: false },
  },
});

// Inside the repository, where Node finds the packages.
const folder = mkdtempSync(fileURLToPath(new URL('../../../node_modules/.planted-', import.meta.url)));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
await bundle(here('faults.ts'), join(folder, 'faults.mjs'));
const { FAULTS, mutationOf } = await import(pathToFileURL(join(folder, 'faults.mjs')).href);

function earlier() {
  if (values.results === undefined || !existsSync(values.results)) return new Map();
  const lines = readFileSync(values.results, 'utf8').split('\n').filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.fault, result]));
}

/** Seconds of a processor that a seed takes at most: a run that takes more never ends, however busy the machine is. */
const SEED_S = 30;

const NOTHING_YET = { seeds: 0, seed: null, isHinted: false, violation: null, simulatedMs: 0, realMs: 0 };

function isDone({ seeds, violation }) {
  return violation !== null || seeds >= Number(values.seeds);
}

/** `before`: what earlier seeds have shown. */
async function tryOn(fault, before) {
  const result = await runFrom(fault, before.seeds + 1, Number(values.seeds) - before.seeds);
  return {
    ...result,
    seeds: before.seeds + result.seeds,
    simulatedMs: before.simulatedMs + result.simulatedMs,
    realMs: before.realMs + result.realMs,
  };
}

async function runFrom(fault, first, seeds) {
  const output = join(folder, 'run.mjs');
  await bundle(here('one.ts'), output, mutationOf(fault));
  const args = [output, first, seeds, values.seconds, JSON.stringify(fault.hint ?? null)];
  const limited = `ulimit -t ${Number(values.seconds) + SEED_S} && exec "$0" "$@"`;
  const { stdout, stderr, signal } = spawnSync('sh', ['-c', limited, process.execPath, ...args], {
    encoding: 'utf8',
  });
  const line = stdout.trim().split('\n').at(-1);
  if (line) return JSON.parse(line);
  const why = signal === null ? stderr.trim().split('\n').at(-1) : 'a seed never ends';
  return { ...NOTHING_YET, seeds: 1, violation: why };
}

const done = earlier();
const chosen = FAULTS.filter(({ name }) => name.includes(values.fault));
for (const fault of values.table ? [] : chosen) {
  const { name } = fault;
  const before = done.get(name) ?? NOTHING_YET;
  if (!isDone(before)) {
    const result = { fault: name, ...(await tryOn(fault, before)) };
    done.set(name, result);
    if (values.results !== undefined) appendFileSync(values.results, `${JSON.stringify(result)}\n`);
  }
  const { seeds, violation, realMs } = done.get(name);
  const how = violation === null ? 'NOT FOUND' : violation.slice(0, 100).replace(/\n.*/s, '');
  console.error(`${name}: ${seeds} seeds, ${Math.round(realMs / 1000)} s: ${how}`);
}

/** Which promise it is that was broken. */
function checkerOf(violation) {
  const kind = /^(lost|repeated|out of order|unannounced gap|mixed):/.exec(violation)?.[1];
  if (kind) return kind;
  const words = [
    [/signal \d+ of/, 'signals'],
    [/twice at once|good connection/, 'manners'],
    [/lost its connection in the calm/, 'connections stay'],
    [/^untrue gap/, 'gaps are true'],
    [/went back/, 'acks only grow'],
    [/is kept out/, 'kept out'],
    [/sees the members|counts \d+ members|Redis has/, 'presence'],
    [/not settled/, 'publishes settle'],
    [/left in Redis|lease of|left \d+|still has/, 'nothing left'],
    [/after the calm|does not run|not ready|is not connected/, 'all well after the calm'],
    [/logged an error/, 'no node logs an error'],
    [/never ends/, 'a run ends'],
    [/threw|rejected/, 'nothing throws'],
  ];
  return words.find(([pattern]) => pattern.test(violation))?.[1] ?? violation.slice(0, 40);
}

console.log('| fault | what it breaks | found by | seeds | simulated minutes |');
console.log('| --- | --- | --- | ---: | ---: |');
const tried = chosen.filter(({ name }) => done.has(name));
for (const { name, breaks } of tried) {
  const { seeds, violation, simulatedMs } = done.get(name);
  const by = violation === null ? '**not found**' : checkerOf(violation);
  console.log(`| ${name} | ${breaks} | ${by} | ${seeds} | ${Math.round(simulatedMs / 60_000)} |`);
}
const found = tried.filter(({ name }) => done.get(name).violation !== null).length;
console.log(`\n${found} of ${tried.length} found; ${chosen.length - tried.length} were not planted yet.`);
