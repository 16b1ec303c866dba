/** What happens in a run, drawn from its seed: a list of events, of which some can be left out to find out which of them matter. */
import { Random } from '../../support/random.ts';
import { ACTIONS } from './actions.ts';
import { FAULTS, FAULTS_OF_CLUSTER } from './faults.ts';
import type { Shape } from './shapes.ts';

export interface PlannedEvent {
  readonly number: number;
  readonly atMs: number;
  readonly kind: string;
  /** What it draws its own choices from. */
  readonly seed: number;
}

export interface PlanOptions extends Pick<Shape, 'actionsPerSecond' | 'faultsPerMinute' | 'stormMs'> {
  readonly seed: number;
  readonly actions: Shape['actions'];
  readonly faults: Shape['faults'];
  /** Redis is a cluster. */
  readonly isCluster?: boolean;
  /** These kinds of faults and no others. Default: about half of all kinds, drawn. */
  readonly faultKinds?: readonly string[] | undefined;
}

export function plan(options: PlanOptions): PlannedEvent[] {
  const { seed, stormMs, actionsPerSecond, faultsPerMinute, faultKinds } = options;
  const random = new Random(seed ^ 0x2545f491);
  const events: PlannedEvent[] = [];
  const add = (atMs: number, kind: string) =>
    events.push({ number: events.length, atMs, kind, seed: random.whole(0, 2 ** 31) });
  const actions = weighted(
    Object.entries(ACTIONS).map(([kind, { weight }]) => [kind, options.actions[kind] ?? weight]),
  );
  // A run has its own kinds of trouble: what all of them at once hides, a few of them show.
  const isDrawn = (weight: number) => weight > 0 && random.next() < 0.5;
  const faults = weighted(
    Object.entries(options.isCluster === true ? FAULTS_OF_CLUSTER : FAULTS)
      .filter(
        ([kind, { weight }]) => faultKinds?.includes(kind) ?? (isDrawn(weight) || kind in options.faults),
      )
      .map(([kind, { weight }]) => [kind, options.faults[kind] ?? weight]),
  );
  for (let atMs = 0; atMs < stormMs; atMs += (-Math.log(1 - random.next()) * 1000) / actionsPerSecond) {
    add(atMs, random.pick(actions));
  }
  if (faults.length > 0) {
    for (
      let atMs = 2_000;
      atMs < stormMs;
      atMs += (-Math.log(1 - random.next()) * 60_000) / faultsPerMinute
    ) {
      add(atMs, random.pick(faults));
    }
  }
  return events.sort((a, b) => a.atMs - b.atMs);
}

function weighted(kinds: readonly (readonly [kind: string, weight: number])[]): string[] {
  return kinds.flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind));
}
