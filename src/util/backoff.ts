export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
  /** Returns a number from 0 up to but not including 1. Default `Math.random`. */
  readonly random?: () => number;
}

/**
 * Exponential backoff with jitter: the wait before attempt number `attempt` (0 is the first), between
 * half of the exponential step and all of it, so that clients cut off together do not return together.
 */
export function backoffMs(attempt: number, { baseMs, capMs, random = Math.random }: BackoffOptions): number {
  const step = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return step / 2 + random() * (step / 2);
}
