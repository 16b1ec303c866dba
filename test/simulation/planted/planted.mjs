/**
 * `npm run simulate:planted`: plants one fault after the other in the source, and runs seeds until a checker objects. See README.md.
 *
 *   --fault <text>     only faults with this in their names
 *   --seeds <n>        as many seeds at most (default 20)
 *   --seconds <n>      and as long at most, of a processor (default 60)
 *   --results <file>   JSON lines, where a run goes on (default results.jsonl, beside this file): faults that were found are left
 *                      alone, the others get the seeds that follow, those with the fewest first
 *   --table            runs nothing: writes what the results say so far into README.md
 *   --clean            plants nothing: runs the seeds of each hint, and fails where a checker objects
 *   --again            looks for all that was found before, from the first seed on, and fails where one is not found any more
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
    again: { type: 'boolean', default: false },
    clean: { type: 'boolean', default: false },
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

const program = join(folder, 'run.mjs');

const resultsFile = values.results ?? here('results.jsonl');

function earlier() {
  if (!existsSync(resultsFile)) return new Map();
  const lines = readFileSync(resultsFile, 'utf8').split('\n').filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.fault, result]));
}

/** Seconds of a processor that a seed takes at most: a run that takes more never ends, however busy the machine is. */
const SEED_S = 30;

const NOTHING_YET = { seeds: 0, seed: null, isHinted: false, violation: null, simulatedMs: 0, realMs: 0 };

function isDone({ seeds, violation }) {
  return violation !== null || seeds >= Number(values.seeds);
}

/** `before`: what earlier seeds have shown. `patience`: how much more it may take than by default. */
async function tryOn(fault, before, patience = 1) {
  const result = await runFrom(
    fault,
    before.seeds + 1,
    patience * Number(values.seeds) - before.seeds,
    patience,
  );
  return {
    ...result,
    seeds: before.seeds + result.seeds,
    simulatedMs: before.simulatedMs + result.simulatedMs,
    realMs: before.realMs + result.realMs,
  };
}

async function runFrom(fault, first, seeds, patience) {
  await bundle(here('one.ts'), program, mutationOf(fault));
  return runProgram([first, seeds, patience * Number(values.seconds), JSON.stringify(fault.hint ?? null)]);
}

/** With the arguments of `one.ts`: the first seed, how many, for how many seconds, the hint, and by how much seeds go up. */
function runProgram(own) {
  const args = [program, ...own];
  const limited = `ulimit -t ${own[2] + SEED_S} && exec "$0" "$@"`;
  const { stdout, stderr, signal } = spawnSync('sh', ['-c', limited, process.execPath, ...args], {
    encoding: 'utf8',
  });
  const line = stdout.trim().split('\n').at(-1);
  if (line) return JSON.parse(line);
  const why = signal === null ? stderr.trim().split('\n').at(-1) : 'a seed never ends';
  return { ...NOTHING_YET, seeds: 1, violation: why };
}

const SHOWN_LENGTH = 300;

/** Without what differs from machine to machine. */
function shown(violation) {
  return violation?.split('\n')[0].slice(0, SHOWN_LENGTH) ?? null;
}

function tell({ name }, { seeds, violation, realMs }) {
  const how = violation === null ? 'NOT FOUND' : violation.slice(0, 100);
  console.error(`${name}: ${seeds} seeds, ${Math.round(realMs / 1000)} s: ${how}`);
}

const done = earlier();
const seedsOf = ({ name }) => (done.get(name) ?? NOTHING_YET).seeds;

/** Goes on where the results end. */
async function goOn(faults) {
  const open = faults.filter(
    ({ name, harmless }) => harmless === undefined && !isDone(done.get(name) ?? NOTHING_YET),
  );
  for (const fault of open.sort((a, b) => seedsOf(a) - seedsOf(b))) {
    const tried = await tryOn(fault, done.get(fault.name) ?? NOTHING_YET);
    const result = { fault: fault.name, ...tried, violation: shown(tried.violation) };
    done.set(fault.name, result);
    appendFileSync(resultsFile, `${JSON.stringify(result)}\n`);
    tell(fault, result);
  }
}

/**
 * A checker that does not find what it found before has fallen asleep. What took many seeds takes others, and perhaps more of them, after
 * each change of the product.
 */
async function findAgain(faults) {
  for (const fault of faults.filter(({ name }) => (done.get(name) ?? NOTHING_YET).violation !== null)) {
    const patience = Math.max(1, Math.ceil((2 * seedsOf(fault)) / Number(values.seeds)));
    const result = await tryOn(fault, NOTHING_YET, patience);
    tell(fault, result);
    if (result.violation === null) process.exitCode = 1;
  }
}

/** What is found without a fault says nothing of a fault. The hinted seeds of each hint: all others run as `simulate` runs them. */
async function runClean(faults) {
  await bundle(here('one.ts'), program);
  const hints = new Map(faults.flatMap(({ name, hint }) => (hint ? [[JSON.stringify(hint), name]] : [])));
  const last = Number(values.seeds);
  for (const [hint, name] of hints) {
    for (let seed = 1; seed <= last; ) {
      const result = runProgram([seed, last - seed + 1, Number(values.seconds), hint, 2]);
      seed = result.violation === null ? last + 1 : (result.seed ?? seed) + 2;
      if (result.violation === null) continue;
      process.exitCode = 1;
      console.log(`${name}: seed ${seed - 2}: ${shown(result.violation)}`);
    }
    console.error(`${name}: seeds 1 to ${last} done`);
  }
}

const chosen = FAULTS.filter(({ name }) => name.includes(values.fault));
if (values.again) await findAgain(chosen);
else if (values.clean) await runClean(chosen);
else if (!values.table) await goOn(chosen);

/** Which promise it is that was broken. */
function checkerOf(violation) {
  const kind = /^(lost|repeated|out of order|unannounced gap|mixed):/.exec(violation)?.[1];
  if (kind) return kind;
  const words = [
    [/^order:/, 'order'],
    [/^late:/, 'nobody waits'],
    [/^misplaced:/, 'answers'],
    [/^reset:/, 'resets are due'],
    [/^stale:/, 'lists are true'],
    [/wanted no echo of/, 'no echo'],
    [/after its join$/, 'joins come first'],
    [/is revoked$/, 'revoked'],
    [/was claimed \d+ ms after|claimed -?\d+ ms|took another lease/, 'leases'],
    [/twice in a row/, 'repeated'],
    [/never rests/, 'a node rests'],
    [/ms after its token expired|expired$/, 'tokens'],
    [/signal \d+ of/, 'signals'],
    [/twice at once|good connection|within \d+ ms|without its data|ahead of one/, 'manners'],
    [/lost its connection in the calm/, 'connections stay'],
    [/^untrue gap/, 'gaps are true'],
    [/went back/, 'acks only grow'],
    [/is kept out/, 'kept out'],
    [/sees the members|counts \d+ members|Redis has/, 'presence'],
    [/not settled/, 'publishes settle'],
    [/left in Redis|lease of|left its lease|left \d+|still has/, 'nothing left'],
    [/holds \d+/, 'memory is bounded'],
    [/after the calm|does not run|not ready|is not connected/, 'all well after the calm'],
    [/logged an error/, 'no node logs an error'],
    [/never ends/, 'a run ends'],
    [/threw|rejected/, 'nothing throws'],
  ];
  return words.find(([pattern]) => pattern.test(violation))?.[1] ?? violation.slice(0, 40);
}

function tableOf(faults) {
  const rows = faults.map(({ name, breaks, unfound, harmless }) => {
    if (harmless !== undefined) return `| ${name} | ${breaks} | harmless: ${harmless} | | |`;
    const { seeds, violation, isHinted, simulatedMs } = done.get(name) ?? NOTHING_YET;
    const missing =
      seeds === 0 ? 'not planted yet' : `**not found**${unfound === undefined ? '' : `: ${unfound}`}`;
    const by = violation === null ? missing : checkerOf(violation);
    const minutes = Math.round(simulatedMs / 60_000);
    return `| ${name} | ${breaks} | ${by} | ${seeds}${isHinted ? ' h' : ''} | ${minutes} |`;
  });
  const counted = faults.filter(({ harmless }) => harmless === undefined);
  const found = counted.filter(({ name }) => (done.get(name) ?? NOTHING_YET).violation !== null);
  const hinted = found.filter(({ name }) => done.get(name).isHinted).length;
  return [
    '| fault | what it breaks | found by | seeds | simulated minutes |',
    '| --- | --- | --- | ---: | ---: |',
    ...rows,
    '',
    `${found.length} of ${counted.length} found, ${hinted} of them by a hinted seed (h). ${faults.length - counted.length} more are harmless.`,
  ].join('\n');
}

const BEGIN = '<!-- written by --table -->\n';
const END = '<!-- end -->';

if (values.table) {
  const file = here('README.md');
  const text = readFileSync(file, 'utf8');
  const [before, after] = [text.split(BEGIN)[0], text.split(END)[1]];
  writeFileSync(file, `${before}${BEGIN}\n${tableOf(FAULTS)}\n\n${END}${after}`);
} else if (!values.again && !values.clean) console.log(tableOf(chosen));
