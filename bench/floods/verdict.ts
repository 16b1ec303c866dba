/** What an attack may do to others, and to the node. */
import type { Figures } from './bystander.ts';

/** Below this a delivery is in time, however fast it was in peace. */
export const ALLOWED_MS = 100;
/** What a node may take beyond what it had before: while it is attacked, and 2 s after. Unused memory is given back later. */
export const ALLOWED_MB = { during: 256, after: 128 } as const;

export interface Memory {
  readonly before: number;
  readonly during: number;
  readonly after: number;
}

/** Whether others got everything, and 99 of 100 messages in time: twice the quiet run, or `ALLOWED_MS`. */
export function isUndisturbed(quiet: Figures, during: Figures): boolean {
  return during.delivered === 1 && during.p99Ms <= allowedMs(quiet);
}

function allowedMs(quiet: Figures): number {
  return Math.max(2 * quiet.p99Ms, ALLOWED_MS);
}

/** What was not as promised; empty: nothing. `megabytes`: of the node, at most in each phase. */
export function brokenPromises(
  [quiet, during, after]: readonly [Figures, Figures, Figures],
  megabytes: Memory,
): string[] {
  const broken: string[] = [];
  const most = allowedMs(quiet);
  if (during.p99Ms > most) broken.push(`p99 ${during.p99Ms.toFixed(0)} ms, at most ${most.toFixed(0)}`);
  if (after.p99Ms > most) broken.push(`p99 after ${after.p99Ms.toFixed(0)} ms, at most ${most.toFixed(0)}`);
  if (during.delivered < 1 || after.delivered < 1) broken.push('messages are missing');
  for (const phase of ['during', 'after'] as const) {
    const more = megabytes[phase] - megabytes.before;
    if (more > ALLOWED_MB[phase])
      broken.push(`${more.toFixed(0)} MB more ${phase}, at most ${ALLOWED_MB[phase]}`);
  }
  return broken;
}
