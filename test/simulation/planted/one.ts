/** Runs seeds until a checker objects, and says so as one line of JSON: the child process of `planted.mjs`. */
import { run } from '../world/run.ts';

const { setImmediate: soon } = globalThis;
const { now } = performance;
const began = now.call(performance);
const elapsedMs = () => now.call(performance) - began;

const [first = '1', most = '20', seconds = '60'] = process.argv.slice(2);
let simulatedMs = 0;

function tell(seeds: number, violation: string | null, seed: number | null): void {
  console.log(JSON.stringify({ seeds, seed, violation, simulatedMs, realMs: Math.round(elapsedMs()) }));
  process.exit(0);
}

/** A promise that is rejected and nobody waits for is a fault like any other. */
process.on('unhandledRejection', (error) => tell(current - Number(first) + 1, `rejected: ${error}`, current));

let current = Number(first);

function next(): void {
  const seeds = current - Number(first);
  if (seeds >= Number(most) || elapsedMs() > Number(seconds) * 1000) return tell(seeds, null, null);
  let violation: string | undefined;
  try {
    const result = run({ seed: current });
    simulatedMs += result.simulatedMs;
    violation = result.violations[0];
  } catch (error) {
    violation = `the run threw: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (violation !== undefined) return tell(seeds + 1, violation, current);
  current++;
  soon(next);
}

soon(next);
