import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';
import { AuthFailure } from './identity.ts';

/** What the owner of a refused token is told: in band, at the upgrade and over HTTP. */
export interface AuthRefusal {
  readonly code: ErrorCode;
  readonly message: string;
  /** For a connection that has no identity yet. */
  readonly close: CloseReason;
  /** Whether the token itself was at fault; if not, an identified connection stays. */
  readonly isFinal: boolean;
  readonly details: ErrorDetails | undefined;
}

/**
 * From whatever `Authenticator.authenticate` rejected with. Anything but an `AuthFailure` is our own fault,
 * and is logged.
 */
export function refusalOf(error: unknown, log: Logger): AuthRefusal {
  if (error instanceof AuthFailure) {
    const { code, message } = error;
    const details = detailsOf(error);
    return { code, message, close: CLOSE_FOR[code], isFinal: !PASSING.has(code), details };
  }
  log.error({ error }, 'cannot check a token');
  return {
    code: 'internal',
    message: 'cannot check the token',
    close: CLOSE.internal,
    isFinal: false,
    details: undefined,
  };
}

function detailsOf({ retryAfterMs, limit }: AuthFailure): ErrorDetails | undefined {
  if (retryAfterMs === null) return undefined;
  return { retryAfterMs, ...(limit !== null && { limit }) };
}

const CLOSE_FOR: Readonly<Record<AuthFailure['code'], CloseReason>> = {
  unauthorized: CLOSE.unauthorized,
  token_expired: CLOSE.tokenExpired,
  token_revoked: CLOSE.revoked,
  unavailable: CLOSE.tryAgainLater,
  rate_limited: CLOSE.tryAgainLater,
};

/** Nothing is known against the token. */
const PASSING: ReadonlySet<AuthFailure['code']> = new Set(['unavailable', 'rate_limited']);
