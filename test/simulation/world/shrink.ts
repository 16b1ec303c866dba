/** Finds few events of a failing run that still fail. */
import type { PlannedEvent } from './plan.ts';
import type { RunResult } from './run.ts';

export const MOST_RUNS = 200;

/** Leaves out ever smaller parts of the schedule, as long as something is still wrong of the same kind. */
export async function shrink(
  failed: RunResult,
  again: (events: readonly PlannedEvent[]) => Promise<RunResult>,
  progress: (runs: number, left: number) => void = () => undefined,
): Promise<readonly PlannedEvent[]> {
  const kind = kindOf(failed);
  let kept = failed.events;
  let runs = 0;
  for (let part = Math.ceil(kept.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    for (let at = 0; at < kept.length && runs < MOST_RUNS; ) {
      const without = [...kept.slice(0, at), ...kept.slice(at + part)];
      runs++;
      if (kindOf(await again(without)) === kind) kept = without;
      else at += part;
      progress(runs, kept.length);
    }
  }
  return kept;
}

/** The first violation without its names and numbers. */
function kindOf({ violations }: RunResult): string {
  return (violations[0] ?? '').replace(/\d+/g, '#').slice(0, 12);
}
