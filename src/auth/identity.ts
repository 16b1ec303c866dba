import { isValidUnicode, utf8Length } from '../protocol/limits.ts';
import type { Right } from './rights.ts';

/**
 * Tolerated difference between the clocks of the issuer and this node: a token stays valid for this much
 * longer.
 */
export const CLOCK_TOLERANCE_MS = 5000;

/** A longer `jti` is none: nodes would have to keep it. */
const MAX_TOKEN_ID_BYTES = 256;

/** What is wrong with a `jti` that a token is to be revoked by, or null. */
export function tokenIdProblem(id: string): string | null {
  const bytes = utf8Length(id);
  if (bytes < 1 || bytes > MAX_TOKEN_ID_BYTES)
    return `must be 1 to ${MAX_TOKEN_ID_BYTES} bytes, got ${bytes}`;
  return isValidUnicode(id) ? null : 'is not valid Unicode';
}

/** Who a connection belongs to, according to its token. */
export interface Identity {
  readonly user: string;
  /** Shown to other members beside the user id; any value, or absent. */
  readonly info?: unknown;
  /** Milliseconds since the Unix epoch, or null for a token that does not expire. */
  readonly expiresAtMs: number | null;
  /** The token's `iat` in ms since the Unix epoch: absent where it has none, which counts as older than any. */
  readonly issuedAtMs?: number;
  /** The token's `jti`: absent where it has none, or none that it can be revoked by. */
  readonly tokenId?: string;
  readonly permissions: Permissions;
}

/** What a token permits in a room; the room's rule must permit it too. No method allocates. */
export interface Permissions {
  /** False: the token has no `rooms` claim. */
  readonly isRestricted: boolean;
  allows(right: Right, room: string): boolean;
  /** Whether the claim itself says so: not for want of a claim, nor because the right follows `join`. */
  names(right: Right, room: string): boolean;
  /** The pattern of the entry that decides about the room; null: none does. */
  entryFor(room: string): string | null;
}

export const ALL_PERMITTED: Permissions = {
  isRestricted: false,
  allows: () => true,
  names: () => false,
  entryFor: () => null,
};

/**
 * `unavailable`: the token cannot be checked now, but nothing is known against it. `rate_limited`: it was not checked, because too
 * many tokens from the same address were refused.
 */
export type AuthFailureCode =
  | 'unauthorized'
  | 'token_expired'
  | 'token_revoked'
  | 'unavailable'
  | 'rate_limited';

export interface AuthFailureOptions extends ErrorOptions {
  /** When to present the token again, if waiting helps. */
  readonly retryAfterMs?: number;
  /** The setting that sets the limit. */
  readonly limit?: string;
}

/** A refused token. The message is for the token's owner and never contains the token. */
export class AuthFailure extends Error {
  override readonly name = 'AuthFailure';
  readonly code: AuthFailureCode;
  readonly retryAfterMs: number | null;
  readonly limit: string | null;

  constructor(code: AuthFailureCode, message: string, options?: AuthFailureOptions) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options?.retryAfterMs ?? null;
    this.limit = options?.limit ?? null;
  }
}

/** Turns a token into an identity. */
export interface Authenticator {
  /**
   * Rejects with `AuthFailure`. `addressKey`: what the limits of addresses count the client by, for `TokenGate`; null: they do not
   * apply.
   */
  authenticate(token: string, addressKey?: string | null): Promise<Identity>;
}

/** Whether members see the two as the same. Both have the same user: a token of another is refused. */
export function looksSame(one: Identity, other: Identity): boolean {
  return JSON.stringify(one.info) === JSON.stringify(other.info);
}
