/** What an attack may do to others. */
import type { Figures } from './bystander.ts';

/** Below this a delivery is in time, however fast it was in peace. */
export const ALLOWED_MS = 100;

/** Whether others got everything, and 99 of 100 messages in time: twice the quiet run, or `ALLOWED_MS`. */
export function isUndisturbed(quiet: Figures, during: Figures): boolean {
  return during.delivered === 1 && during.p99Ms <= Math.max(2 * quiet.p99Ms, ALLOWED_MS);
}
