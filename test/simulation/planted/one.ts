/** Runs seeds until a checker objects, and says so as one line of JSON: the child process of `planted.mjs`. */
import { type RunOptions, run } from '../world/run.ts';
import type { Hint } from './fault.ts';

const { setImmediate: soon } = globalThis;
const { cpuUsage } = process;

const [first = '1', most = '20', seconds = '60', hint = 'null', step = '1'] = process.argv.slice(2);
const hinted = JSON.parse(hint) as Hint | null;
let simulatedMs = 0;

/** Of the processor: how busy the machine is must not decide what is found. */
function usedMs(): number {
  const { user, system } = cpuUsage.call(process);
  return (user + system) / 1000;
}

function tell(seeds: number, violation: string | null, seed: number | null): void {
  const isHinted = seed !== null && isHintedSeed(seed);
  const realMs = Math.round(usedMs());
  console.log(JSON.stringify({ seeds, seed, isHinted, violation, simulatedMs, realMs }));
  process.exit(0);
}

function isHintedSeed(seed: number): boolean {
  return hinted !== null && seed % 2 === 1;
}

function optionsOf(seed: number): RunOptions {
  return { seed, stopsAtFirst: true, ...(isHintedSeed(seed) && hinted) };
}

/** A promise that is rejected and nobody waits for is a fault like any other. */
process.on('unhandledRejection', (error) => tell(current - Number(first) + 1, `rejected: ${error}`, current));

let current = Number(first);

function next(): void {
  const seeds = current - Number(first);
  if (seeds >= Number(most) || usedMs() > Number(seconds) * 1000) return tell(seeds, null, null);
  let violation: string | undefined;
  try {
    const result = run(optionsOf(current));
    simulatedMs += result.simulatedMs;
    violation = result.violations[0];
  } catch (error) {
    violation = `the run threw: ${error instanceof Error ? error.stack : String(error)}`;
  }
  if (violation !== undefined) return tell(seeds + 1, violation, current);
  current += Number(step);
  soon(next);
}

soon(next);
