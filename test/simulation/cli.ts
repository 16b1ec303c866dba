/** `npm run simulate`: runs seeds and says what they found. */
import { parseArgs } from 'node:util';
import { ACTIONS } from './world/actions.ts';
import { plannedFor, type RunResult, run } from './world/run.ts';
import { shrink } from './world/shrink.ts';

const { setImmediate: soon } = globalThis;
const { now } = performance;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    hours: { type: 'string' },
    'until-failure': { type: 'boolean', default: false },
    events: { type: 'string' },
    /** Only these kinds of faults. */
    faults: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

const totals = { seeds: 0, failed: 0, simulatedMs: 0, tasks: 0 };
const counts: Record<string, number> = {};
const beganMs = now.call(performance);
const realMs = () => now.call(performance) - beganMs;

process.on('unhandledRejection', (error) => {
  console.error('unhandled rejection', error);
  process.exitCode = 1;
});

/** In a task of its own: in a promise no other promise would run. */
function inTask<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    soon(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}

function report(result: RunResult): void {
  const { seed, violations, lines } = result;
  if (values.trace || violations.length > 0) {
    const shown = values.trace ? lines : lines.slice(-40);
    if (!values.json) console.log(shown.join('\n'));
  }
  for (const violation of violations.slice(0, 10)) console.log(`seed ${seed}: ${violation}`);
}

function add(result: RunResult): void {
  totals.seeds++;
  totals.simulatedMs += result.simulatedMs;
  totals.tasks += result.tasks;
  if (result.violations.length > 0) totals.failed++;
  for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count;
}

function* seeds(): Generator<number> {
  if (values.seed !== undefined) {
    yield Number(values.seed);
    return;
  }
  const most = values.seeds === undefined ? Number.POSITIVE_INFINITY : Number(values.seeds);
  const hours = values.hours === undefined ? Number.POSITIVE_INFINITY : Number(values.hours);
  const first = Number(values.from);
  for (let i = 0; i < most && totals.simulatedMs < hours * 3_600_000; i++) yield first + i;
}

for (const seed of seeds()) {
  const only = values.events?.split(',').map(Number);
  const kinds = values.faults?.split(',');
  const events = plannedFor({ seed }).filter(
    ({ number, kind }) =>
      (only === undefined || only.includes(number)) &&
      (kinds === undefined || kind in ACTIONS || kinds.includes(kind)),
  );
  const result = await inTask(() => run({ seed, events }));
  add(result);
  if (result.violations.length === 0 && !values.trace) continue;
  report(result);
  if (values.shrink && result.violations.length > 0) {
    const kept = await shrink(result, (some) => inTask(() => run({ seed, events: some })));
    console.log(
      `seed ${seed} fails with these events alone: --events ${kept.map(({ number }) => number).join(',')}`,
    );
    for (const { atMs, kind } of kept) console.log(`  ${(atMs / 1000).toFixed(3)} s ${kind}`);
  }
  if (values['until-failure'] && result.violations.length > 0) break;
}

const hours = totals.simulatedMs / 3_600_000;
console.log(
  JSON.stringify({
    ...totals,
    simulatedHours: Number(hours.toFixed(3)),
    realSeconds: Math.round(realMs() / 1000),
    simulatedHoursPerHour: Number((totals.simulatedMs / realMs()).toFixed(1)),
    ...Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1))),
  }),
);
if (totals.failed > 0) process.exitCode = 1;
