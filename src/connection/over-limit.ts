import type { LimitLabel } from '../metrics/labels.ts';
import type { ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';

/** A limit turns something away: the error that says so. */
export interface OverLimit {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails & { readonly limit: LimitLabel };
}

/**
 * `what`: for people, such as `too many commands a second`. The message names the setting and its value; the details
 * have them for programs. `retryAfterMs` null: waiting does not help.
 */
export function overLimit(
  code: ErrorCode,
  what: string,
  limit: LimitLabel,
  value: number,
  retryAfterMs: number | null,
): OverLimit {
  const details = retryAfterMs === null ? { limit } : { retryAfterMs, limit };
  return { code, message: `${what}: ${limit} is ${value}`, details };
}
