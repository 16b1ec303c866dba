import { type Finding, ok, problem, warning } from './finding.ts';
import { duration } from './units.ts';

const ABOUT = 'clocks';
/** A network cannot measure clock differences below this. */
const NOTICEABLE_MS = 250;
/** From here on, valid tokens are refused or expired ones accepted. */
const HARMFUL_MS = 30_000;

/** One clock as seen from here. */
export interface ClockReading {
  /** Whose clock, such as `redis` or the URL of a node. */
  readonly whose: string;
  /** That clock minus ours, in milliseconds. */
  readonly aheadMs: number;
  /** How far off `aheadMs` may be, either way. */
  readonly doubtMs: number;
}

/**
 * How far apart the clocks are, including ours. Nothing is ordered by clocks; ages, expiry and latency depend
 * on them.
 */
export function checkClocks(readings: readonly ClockReading[]): Finding[] {
  if (readings.length === 0) return [];
  const all = [{ whose: 'this machine', aheadMs: 0, doubtMs: 0 }, ...readings];
  const first = all.reduce((a, b) => (b.aheadMs < a.aheadMs ? b : a));
  const last = all.reduce((a, b) => (b.aheadMs > a.aheadMs ? b : a));
  const apartMs = Math.max(0, last.aheadMs - first.aheadMs - first.doubtMs - last.doubtMs);
  if (apartMs < NOTICEABLE_MS) {
    return [ok(ABOUT, `${all.length} clocks agree to within ${duration(NOTICEABLE_MS)}`)];
  }
  const says = `${last.whose} is ${duration(apartMs)} ahead of ${first.whose}`;
  const advice = 'run a time service (chrony, systemd-timesyncd) on every machine';
  if (apartMs < HARMFUL_MS) {
    return [warning(ABOUT, `${says}: latencies across nodes are off by that much`, advice)];
  }
  return [problem(ABOUT, `${says}: tokens expire at the wrong time, and latencies are meaningless`, advice)];
}
