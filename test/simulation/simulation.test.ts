/** Runs of the simulation with fixed seeds; see README.md. `SIMULATION_SEEDS` runs more of them. */
import { expect, test } from 'vitest';
import { inTask } from './in-task.ts';
import { type RunOptions, type RunResult, run } from './world/run.ts';

const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 3);

const runAlone = (options: RunOptions): Promise<RunResult> => inTask(() => run(options));

function partition(lines: readonly string[], isIn: (line: string) => boolean): [string[], string[]] {
  return [lines.filter(isIn), lines.filter((line) => !isIn(line))];
}

/** The end of the trace says what went wrong. */
function expectNothingWrong({ seed, violations, lines }: RunResult): void {
  if (violations.length === 0) return;
  const how = `npm run simulate -- --seed ${seed} --trace --shrink`;
  throw new Error(
    `seed ${seed}:\n${violations.slice(0, 10).join('\n')}\n${lines.slice(-60).join('\n')}\n${how}`,
  );
}

test('the same seed gives the same run, whether frames are shown or not', async () => {
  const options = { seed: 11, stormMs: 3_000, faultsPerMinute: 160 };
  const [one, other] = [await runAlone(options), await runAlone({ ...options, frames: ['client-0'] })];
  const [frames, others] = partition(other.lines, (line) => / client-0 (sends|gets) \[/.test(line));
  expect(frames).not.toEqual([]);
  expect(others).toEqual(one.lines);
  expect(other.digest).toBe(one.digest);
});

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`nodes and clients keep their promises in the storm of seed ${seed}`, async () => {
    const result = await runAlone({ seed });
    expectNothingWrong(result);
    expect(result.counts.messages).toBeGreaterThan(1000);
  });
}
