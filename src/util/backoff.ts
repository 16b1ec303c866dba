export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
  /** Returns a number from 0 up to 1. Default `Math.random`. */
  readonly random?: () => number;
}

/**
 * Exponential backoff with jitter: the wait before attempt number `attempt` (0 is the first), anywhere from
 * half of the exponential step to the whole of it, so that clients cut off together do not come back together.
 */
export function backoffMs(attempt: number, { baseMs, capMs, random = Math.random }: BackoffOptions): number {
  const step = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return step / 2 + random() * (step / 2);
}
