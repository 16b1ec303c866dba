/** Runs of the simulation with fixed seeds; see README.md. `SIMULATION_SEEDS` runs more of them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PLANTED } from './planted-faults.mjs';
import { type RunOptions, type RunResult, run } from './world/run.ts';

const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 4);

test('each planted mistake still has its place in the source', () => {
  for (const [name, { file, from, script, text }] of Object.entries(PLANTED)) {
    expect({ name, times: times(file, from) }).toEqual({ name, times: 1 });
    if (script !== undefined) expect({ name, times: times(script, text) }).toEqual({ name, times: 1 });
  }
});

function times(file: string, text: string): number {
  return readFileSync(file, 'utf8').split(text).length - 1;
}

/** In a task of its own: in a promise no other promise would run. */
function runAlone(options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run(options));
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** The end of the trace says what went wrong. */
function expectNothingWrong({ seed, violations, lines }: RunResult): void {
  if (violations.length === 0) return;
  const how = `npm run simulate -- --seed ${seed} --trace --shrink`;
  throw new Error(
    `seed ${seed}:\n${violations.slice(0, 10).join('\n')}\n${lines.slice(-60).join('\n')}\n${how}`,
  );
}

test('the same seed gives the same run', async () => {
  const options = { seed: 11, stormMs: 8_000, faultsPerMinute: 60 };
  const [one, other] = [await runAlone(options), await runAlone(options)];
  expect(other.lines).toEqual(one.lines);
  expect(other.digest).toBe(one.digest);
});

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`nodes and clients keep their promises in the storm of seed ${seed}`, async () => {
    const result = await runAlone({ seed });
    expectNothingWrong(result);
    expect(result.counts.messages).toBeGreaterThan(1000);
  });
}
