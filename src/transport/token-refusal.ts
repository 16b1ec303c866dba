import { AuthFailure } from '../auth/identity.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';

/** Why a token is not accepted, as an upgrade (by status) and a WebSocket (by close code) say it. */
export interface TokenRefusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly close: CloseReason;
}

/** `error`: what the authenticator rejected with. */
export function tokenRefusal(error: unknown): TokenRefusal {
  if (error instanceof AuthFailure) {
    const { code, message } = error;
    return { code, message, close: code === 'token_expired' ? CLOSE.tokenExpired : CLOSE.unauthorized };
  }
  // Not the token's fault: its owner is to come back, which 4500 and above would forbid.
  return { code: 'internal', message: 'the token could not be checked', close: CLOSE.internal };
}
