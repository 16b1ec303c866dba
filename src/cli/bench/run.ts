/** Runs one bench, from the first connection to the last delivery. */
import { Driver, type OpeningSummary, pause } from '../../load/driver.ts';
import type { Phase } from '../../load/phase.ts';
import type { WorkerProgress } from '../../load/worker.ts';
import { isRateLimit } from './advice.ts';
import type { BenchPlan } from './plan.ts';
import type { BenchResult } from './result.ts';
import { type Stage, Watch } from './watch.ts';

/** How long members stay away after a cut. */
const AWAY_MS = 2000;
/** Gives up after this long without a new connection. Longer if `--connect-rate` is slower than that. */
const PATIENCE_MS = 15_000;

/**
 * `interrupted` ends it early. Resolves with what was measured until then.
 *
 * @throws if nothing was measured: with the error of the driver, a node or the system.
 */
export async function runBench(
  plan: BenchPlan,
  interrupted: AbortSignal,
  print: ((line: string) => void) | null,
): Promise<BenchResult> {
  const ending = new AbortController();
  const interrupt = (): void => ending.abort('interrupted');
  interrupted.addEventListener('abort', interrupt);
  const driver = await Driver.start(plan.driver);
  const watch = new Watch(driver, watcher(plan, ending), print);
  try {
    return await run(plan, driver, watch, ending.signal);
  } finally {
    watch.stop();
    interrupted.removeEventListener('abort', interrupt);
    await driver.close();
  }
}

async function run(plan: BenchPlan, driver: Driver, watch: Watch, ending: AbortSignal): Promise<BenchResult> {
  const opening = await Promise.race([driver.open(plan.opening), whenEnding(ending)]);
  const warmUp = await warmedUp(plan, driver, watch, ending);
  watch.stage = 'measuring';
  let cut: OpeningSummary | null = null;
  const cutting = async (): Promise<void> => {
    await pause((plan.seconds * 1000) / 3, ending);
    if (ending.aborted) return;
    const back = driver.cut(AWAY_MS, plan.opening).then((opening) => {
      cut = opening;
    });
    await Promise.race([back, whenAborted(ending)]);
  };
  const measured = await driver.run(plan.load, plan.seconds, plan.cut ? cutting : undefined, ending);
  const ended = ending.aborted ? String(ending.reason) : null;
  return { plan, opening, phase: withTroubleOf(warmUp, measured), cut, ended };
}

async function warmedUp(
  plan: BenchPlan,
  driver: Driver,
  watch: Watch,
  ending: AbortSignal,
): Promise<Phase | null> {
  if (plan.warmUpSeconds === 0) return null;
  watch.stage = 'warming up';
  const phase = await driver.run(plan.load, plan.warmUpSeconds, undefined, ending);
  if (!ending.aborted) return phase;
  throw new Error(phase.firstTrouble ?? `${ending.reason} in the warm-up: nothing was measured`);
}

function withTroubleOf(warmUp: Phase | null, measured: Phase): Phase {
  const trouble = measured.trouble + (warmUp?.trouble ?? 0);
  return { ...measured, trouble, firstTrouble: warmUp?.firstTrouble ?? measured.firstTrouble };
}

/** Ends a run that cannot succeed. */
function watcher(
  { opening }: BenchPlan,
  ending: AbortController,
): (now: WorkerProgress, stage: Stage) => void {
  const patienceMs = Math.max(PATIENCE_MS, 2000 / (opening.perSecond ?? 1));
  let open = 0;
  let sinceMs = performance.now();
  return (now, stage) => {
    if (now.firstTrouble !== null && isRateLimit(now.firstTrouble)) ending.abort('rate limited');
    if (now.open !== open || stage !== 'connecting') sinceMs = performance.now();
    open = now.open;
    if (performance.now() - sinceMs > patienceMs) {
      ending.abort(`no connection became ready for ${Math.round(patienceMs / 1000)} s (${open} are open)`);
    }
  };
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function whenEnding(ending: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void =>
      reject(new Error(`${ending.reason}: not all connections were open, nothing was measured`));
    if (ending.aborted) end();
    else ending.addEventListener('abort', end);
  });
}
