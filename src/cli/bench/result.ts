import type { OpeningSummary } from '../../load/driver.ts';
import type { Phase } from '../../load/phase.ts';
import type { BenchPlan } from './plan.ts';

/** The result of a bench. */
export interface BenchResult {
  readonly plan: BenchPlan;
  readonly opening: OpeningSummary;
  /** Error counts include the warm-up: a connection lost there is missing for the rest of the run. */
  readonly phase: Phase;
  /** How members came back after their links were cut. */
  readonly cut: OpeningSummary | null;
  /** Why it ended early, or null. */
  readonly ended: string | null;
}

/** Above this share of its core a driver process cannot keep up, and the figures measure the driver. */
const MAX_DRIVER_SHARE = 0.9;
/** Below this share of the requested rate, the load was not reached. */
const MIN_RATE_SHARE = 0.95;

/** Whether every message was delivered once, in order, to the right members, without errors. */
export function isClean({ phase, ended }: BenchResult): boolean {
  const { lost, repeated, reordered, misrouted, trouble } = phase;
  return lost + repeated + reordered + misrouted + trouble === 0 && ended !== 'rate limited';
}

/** How many deliveries there should have been. */
export function expectedDeliveries({ delivered, repeated, lost }: Phase): number {
  return delivered - repeated + lost;
}

/** What makes the figures less reliable, in words. */
export function warningsOf({ plan, phase }: BenchResult): string[] {
  const warnings: string[] = [];
  const processes = plan.driver.cores.length;
  if (phase.driverShare > MAX_DRIVER_SHARE) {
    const share = Math.round(phase.driverShare * 100);
    warnings.push(
      `the driver was the bottleneck (${share}% of a core), so the figures measure the driver: use --processes ${processes + 1} or another machine`,
    );
  }
  const { load } = plan;
  if (load.kind === 'open' && load.rampSeconds === undefined) {
    const perSecond = phase.published / phase.loadSeconds;
    if (perSecond < load.perSecond * MIN_RATE_SHARE && phase.published > 1) {
      warnings.push(`sent only ${perSecond.toFixed(1)} of ${load.perSecond} publishes a second`);
    }
  }
  return warnings;
}
