/** `npm run simulate`: runs seeds and says what they found. */
import { Command } from 'commander';
import { append, type CampaignLine, lineOf, nextSeed, readCampaign, replayOf } from './campaign.ts';
import { inTask } from './in-task.ts';
import { names, positive, whole, wholes } from './options.ts';
import { summary, summaryLine, totalsOf } from './summary.ts';
import { ACTIONS } from './world/actions.ts';
import { FAULTS, FAULTS_OF_CLUSTER } from './world/faults.ts';
import { isClient } from './world/frame-trace.ts';
import { plannedFor, type RunResult, run } from './world/run.ts';
import { SHAPE_NAMES, type ShapeName } from './world/shapes.ts';
import { MOST_RUNS, shrink } from './world/shrink.ts';
import { ROOMS } from './world/world.ts';

const { now } = performance;

/** As they are given. */
interface Options {
  readonly seed?: string;
  readonly seeds?: string;
  readonly from: string;
  readonly hours?: string;
  readonly minutes?: string;
  readonly untilFailure?: true;
  readonly shape: string;
  readonly events?: string;
  readonly faults?: string;
  readonly trace?: true;
  readonly frames?: string;
  readonly shrink?: true;
  readonly campaign?: string;
  readonly summary?: string;
}

const values = new Command('npm run simulate --')
  .description(
    'Runs seeds of the simulation. Fails where a promise of PROTOCOL.md is broken. See test/simulation/README.md.',
  )
  .helpOption('-h, --help', 'show this help')
  .allowExcessArguments(false)
  .option('--seed <n>', 'one seed')
  .option('--seeds <n>', 'so many seeds of each shape')
  .option('--from <n>', 'the first seed', '1')
  .option('--hours <n>', 'until so many simulated hours have passed')
  .option('--minutes <n>', 'until so many minutes have passed on the clock')
  .option('--until-failure', 'stop at the first seed that fails')
  .option(
    '--shape <names>',
    `what runs look like: all, or of ${SHAPE_NAMES.join(', ')}; several take turns`,
    'ordinary',
  )
  .option('--events <numbers>', 'only these events of the schedule: see --shrink')
  .option('--faults <kinds>', 'only faults of these kinds')
  .option('--trace', 'print all that happens')
  .option(
    '--frames <names>',
    `with --trace: also the frames of these clients (client-0) or rooms (${ROOMS.join(', ')}); with both, those of the clients in the rooms`,
  )
  .option('--shrink', 'find the few events that make a failing seed fail')
  .option('--campaign <file>', 'append a line for each seed, and begin after the seeds that the file has')
  .option('--summary <file>', 'run nothing: what the campaign in a file adds up to')
  .option('--coverage <file>', 'count what runs of the sources, and write what does not into a file')
  .addHelpText(
    'after',
    `
Without --seeds, --hours, --minutes or --until-failure it goes on until it is stopped.

Examples:
  npm run simulate -- --seeds 100
  npm run simulate -- --shape hours --seed 7 --trace
  npm run simulate -- --seed 7 --trace --frames client-0,chat:a
  npm run simulate -- --shape all --minutes 480 --campaign nights.jsonl`,
  )
  // A wrong command line ends with 2.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts<Options>();
const kinds = [...new Set([...Object.keys(FAULTS), ...Object.keys(FAULTS_OF_CLUSTER)])];
const asked = orExit(() => ({
  seed: whole('seed', values.seed, 0),
  seeds: whole('seeds', values.seeds, 1) ?? Number.POSITIVE_INFINITY,
  from: whole('from', values.from, 0)!,
  hours: positive('hours', values.hours) ?? Number.POSITIVE_INFINITY,
  minutes: positive('minutes', values.minutes) ?? Number.POSITIVE_INFINITY,
  events: wholes('events', values.events, 0),
  faults: names('faults', values.faults, kinds),
  frames: framesAsked(),
  shapes: values.shape === 'all' ? SHAPE_NAMES : (names('shape', values.shape, SHAPE_NAMES) as ShapeName[]),
}));

const beganMs = now.call(performance);
const realMs = () => now.call(performance) - beganMs;
const commit = process.env.SIMULATION_COMMIT ?? null;
const earlier = values.campaign === undefined ? [] : readCampaign(values.campaign);
const lines: ReturnType<typeof lineOf>[] = [];

process.on('unhandledRejection', (error) => {
  console.error('unhandled rejection', error);
  process.exitCode = 1;
});

/** A wrong command line runs nothing. */
function orExit<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}

function framesAsked(): string[] | undefined {
  const rooms = values.frames?.split(',').filter((name) => !isClient(name));
  if (rooms !== undefined && rooms.length > 0)
    names('frames', rooms.join(','), [...ROOMS, 'client-0, client-1 …']);
  if (values.frames !== undefined && !values.trace) throw new Error('--frames needs --trace');
  return values.frames?.split(',');
}

/** Several shapes take turns. */
function* seeds(): Generator<[shape: ShapeName, seed: number]> {
  const { shapes: chosen, seed: only, from, seeds: most, hours, minutes } = asked;
  if (only !== undefined) {
    for (const shape of chosen) yield [shape, only];
    return;
  }
  const next = new Map(chosen.map((shape) => [shape, nextSeed(earlier, shape, from)]));
  const isOver = () =>
    lines.length >= most * chosen.length ||
    totalsOf(lines).simulatedHours >= hours ||
    realMs() >= minutes * 60_000;
  for (let turn = 0; !isOver(); turn++) {
    const shape = chosen[turn % chosen.length]!;
    const seed = next.get(shape)!;
    next.set(shape, seed + 1);
    yield [shape, seed];
  }
}

const MOST_VIOLATIONS = 10;
const LINES_BEFORE = 20;

function tell({ lines: happened, violations }: RunResult, shape: ShapeName, seed: number): void {
  if (values.trace) console.log(happened.join('\n'));
  if (violations.length === 0) return;
  if (!values.trace && values.campaign === undefined) tellWhatCameBefore(happened);
  for (const violation of violations.slice(0, MOST_VIOLATIONS))
    console.log(`${shape} seed ${seed}: ${violation}`);
  const more = violations.length - MOST_VIOLATIONS;
  if (more > 0) console.log(`${shape} seed ${seed}: and ${more} more violations, all of them in the trace`);
  const again = [replayOf({ shape, seed }), ...onlySome()].join(' ');
  if (!values.trace) console.log(`  all that happened:           ${again} --trace`);
  if (!values.shrink) console.log(`  which events make it fail:   ${again} --shrink`);
}

/** What was found while it ran has its reason shortly before. */
function tellWhatCameBefore(happened: readonly string[]): void {
  const at = happened.findIndex((line) => line.includes(' VIOLATION '));
  console.log(happened.slice(Math.max(0, at - LINES_BEFORE), at + 1).join('\n'));
}

/** The options that leave events out: without them the run is another one. */
function onlySome(): string[] {
  const { events, faults } = values;
  return [
    ...(events === undefined ? [] : [`--events ${events}`]),
    ...(faults === undefined ? [] : [`--faults ${faults}`]),
  ];
}

async function shrinkIt(result: RunResult, shape: ShapeName): Promise<void> {
  const { seed, events } = result;
  console.error(`shrinking: ${events.length} events, ${shrinkRuns(0)}`);
  const kept = await shrink(
    result,
    (some) => inTask(() => run({ seed, shape, events: some })),
    (runs, left) => {
      if (runs % 5 === 0) console.error(`shrinking: ${left} events are left, ${shrinkRuns(runs)}`);
    },
  );
  const numbers = kept.map(({ number }) => number).join(',');
  console.log(`${kept.length} of ${events.length} events make it fail:`);
  for (const { number, atMs, kind } of kept)
    console.log(`  ${number}: ${kind}, ${(atMs / 1000).toFixed(3)} s after the storm began`);
  console.log(`  ${replayOf({ shape, seed })} --events ${numbers} --trace`);
}

const shrinkRuns = (runs: number) => `${runs} of at most ${MOST_RUNS} runs`;

function runSeed(seed: number, shape: ShapeName): Promise<RunResult> {
  const { events: only, faults, frames } = asked;
  const events = plannedFor({ seed, shape }).filter(
    ({ number, kind }) =>
      (only === undefined || only.includes(number)) &&
      (faults === undefined || kind in ACTIONS || faults.includes(kind)),
  );
  return inTask(() => run({ seed, shape, events, frames }));
}

/** One seed needs no tables, which would hide its violations. */
function outcomeOf({ shape, seed, simulatedMs, published, deliveries, violations }: CampaignLine): string {
  const end = violations.length === 0 ? 'passed' : 'FAILED';
  return `${shape} seed ${seed} ${end}: ${Math.round(simulatedMs / 1000)} simulated seconds, ${published} published, ${deliveries} delivered`;
}

for (const [shape, seed] of values.summary === undefined ? seeds() : []) {
  const [startMs, usedBefore] = [realMs(), process.cpuUsage()];
  const result = await runSeed(seed, shape);
  const { user, system } = process.cpuUsage(usedBefore);
  const cost = { realMs: realMs() - startMs, cpuMs: (user + system) / 1000 };
  const line = lineOf(result, shape, commit, cost);
  lines.push(line);
  if (values.campaign !== undefined) append(values.campaign, line);
  tell(result, shape, seed);
  if (result.violations.length === 0) {
    if (values.shrink)
      console.log(`${shape} seed ${seed}: nothing went wrong, so there is nothing to shrink`);
    continue;
  }
  if (values.shrink) await shrinkIt(result, shape);
  if (values.untilFailure) break;
}

if (values.summary !== undefined) console.log(summary(readCampaign(values.summary)));
else {
  if (asked.seed === undefined) console.log(`${summary(lines)}\n\n${summaryLine(lines)}`);
  else for (const line of lines) console.log(outcomeOf(line));
  if (totalsOf(lines).failed > 0) process.exitCode = 1;
}
