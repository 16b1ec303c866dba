/** Whether Sentinels are replacing the primary, or have just done so: then much of what looks wrong passes by itself. */
import { addressOfPrimary, type SentinelFacts } from '../../backplane/redis/start/inspect-sentinels.ts';
import { type Finding, warning } from './finding.ts';

const ABOUT = 'redis sentinels';
/** Sentinels ask each server every ten seconds: before that they do not know who follows whom since a failover. */
const SETTLED_MS = 15_000;

/**
 * `isSound`: nothing else is wrong. `primaryAnswers`: whether the primary that most of them name answers here. What this says stands before the
 * rest.
 */
export function checkFailover(
  facts: readonly SentinelFacts[],
  isSound: boolean,
  primaryAnswers: boolean,
): Finding[] {
  const known = facts.flatMap(({ found }) =>
    found instanceof Error || found.primary === null ? [] : [found.primary],
  );
  if (known.length === 0) return [];
  const isDown = known.some(({ flags }) => flags.includes('o_down'));
  const isReplacing = known.some(({ flags }) => flags.includes('failover_in_progress'));
  const places = new Set(facts.map(addressOfPrimary).filter((address) => address !== null));
  if (isReplacing || places.size > 1) {
    const says = 'a failover is in progress: what else is found here may pass';
    return [warning(ABOUT, says, 'run this again in a few seconds')];
  }
  if (isDown) {
    const says = 'the primary is down, and no Sentinel has begun to replace it';
    const advice =
      'run this again in a few seconds. If no failover begins, what else is found here and the log of the Sentinels show why';
    return [warning(ABOUT, says, advice)];
  }
  if (isSound) return [];
  const sinceMs = Math.min(...known.map(({ watchedForMs }) => watchedForMs ?? Infinity));
  if (sinceMs < SETTLED_MS) {
    const says = `a failover ended ${Math.round(sinceMs / 1000)} s ago, or the Sentinels have just started: they do not know everything yet`;
    return [warning(ABOUT, says, `run this again in ${Math.ceil((SETTLED_MS - sinceMs) / 1000)} s`)];
  }
  if (primaryAnswers || known.some(({ flags }) => flags.includes('s_down'))) return [];
  const says = `the primary ${[...places][0]} does not answer here, and no Sentinel finds it down`;
  const advice =
    'run this again in a few seconds: a failover may be about to begin. If it stays, this machine does not reach what the Sentinels reach';
  return [warning(ABOUT, says, advice)];
}
