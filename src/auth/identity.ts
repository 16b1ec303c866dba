/** By how much the clocks of the issuer and of this node may differ: a token is good for this much longer than it says. */
export const CLOCK_TOLERANCE_MS = 5000;

/** Who a connection belongs to, as its token says. */
export interface Identity {
  readonly user: string;
  /** Shown to other members beside the user id; any value, or absent. */
  readonly info?: unknown;
  /** Milliseconds since the Unix epoch, or null for a token that does not expire. */
  readonly expiresAtMs: number | null;
  readonly permissions: Permissions;
}

/** What an identity may do in a room, beyond what the room's rule allows to everyone. */
export interface Permissions {
  mayJoin(room: string): boolean;
  mayPublish(room: string): boolean;
}

export const ALL_PERMITTED: Permissions = { mayJoin: () => true, mayPublish: () => true };

/** `unavailable`: nothing is known against the token, it cannot be checked now. */
export type AuthFailureCode = 'unauthorized' | 'token_expired' | 'unavailable';

export interface AuthFailureOptions extends ErrorOptions {
  /** When to present the token again, where waiting helps. */
  readonly retryAfterMs?: number;
}

/** A token that was not accepted. The message is for the token's owner: it never holds the token. */
export class AuthFailure extends Error {
  override readonly name = 'AuthFailure';
  readonly code: AuthFailureCode;
  readonly retryAfterMs: number | null;

  constructor(code: AuthFailureCode, message: string, options?: AuthFailureOptions) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs ?? null;
  }
}

/** Turns a token into an identity. */
export interface Authenticator {
  /** Rejects with `AuthFailure`. */
  authenticate(token: string): Promise<Identity>;
  /** Gets what the first token needs ahead of it. Never rejects. */
  prepare?(): Promise<void>;
}

/** Whether members see the two as the same. The user is the same: a token of another is refused. */
export function looksSame(one: Identity, other: Identity): boolean {
  return JSON.stringify(one.info) === JSON.stringify(other.info);
}
