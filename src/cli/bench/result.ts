import type { OpeningSummary } from '../../load/driver.ts';
import type { Phase } from '../../load/phase.ts';
import type { BenchPlan } from './plan.ts';

/** What a bench came to. */
export interface BenchResult {
  readonly plan: BenchPlan;
  readonly opening: OpeningSummary;
  /** Counts of errors include those of the warm-up: a connection that ended there is missed ever after. */
  readonly phase: Phase;
  /** How members came back, where their links were cut. */
  readonly cut: OpeningSummary | null;
  /** Why it ended before its time, or null. */
  readonly ended: string | null;
}

/** Above this share of its core a driver process does not keep up, and what is measured is the driver. */
const MAX_DRIVER_SHARE = 0.9;
/** Below this share of the rate that was asked for, it was not put on. */
const MIN_RATE_SHARE = 0.95;

/** Whether all was delivered once, in order, to those it was for, and nothing went wrong. */
export function isClean({ phase, ended }: BenchResult): boolean {
  const { lost, repeated, reordered, misrouted, trouble } = phase;
  return lost + repeated + reordered + misrouted + trouble === 0 && ended !== 'rate limited';
}

/** Deliveries that there should have been. */
export function expectedDeliveries({ delivered, repeated, lost }: Phase): number {
  return delivered - repeated + lost;
}

/** What takes from the worth of the figures, in words. */
export function warningsOf({ plan, phase }: BenchResult): string[] {
  const warnings: string[] = [];
  const processes = plan.driver.cores.length;
  if (phase.driverShare > MAX_DRIVER_SHARE) {
    const share = Math.round(phase.driverShare * 100);
    warnings.push(
      `the driver was the limit (${share}% of a core): the figures are the driver's: use --processes ${processes + 1} or another machine`,
    );
  }
  const { load } = plan;
  if (load.kind === 'open' && load.rampSeconds === undefined) {
    const perSecond = phase.published / phase.loadSeconds;
    if (perSecond < load.perSecond * MIN_RATE_SHARE && phase.published > 1) {
      warnings.push(`only ${perSecond.toFixed(1)} of ${load.perSecond} publishes a second were sent`);
    }
  }
  return warnings;
}
