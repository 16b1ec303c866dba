/**
 * Idempotency keys as backplanes know them: each is remembered within a scope, so that nobody can use up or find out the key of
 * another. Users each have a scope, the server API has one, and all anonymous clients share one: after a reconnect, perhaps
 * through another node, nothing but the key itself says that it is the same client.
 */
import type { Identity } from '../auth/identity.ts';

/** A key of the server API. */
export function serverKey(key: string): string {
  return `s:${key}`;
}

/** A key of a client; null for an anonymous one. With the length of the user id before it, no two users can meet. */
export function clientKey(identity: Identity | null, key: string): string {
  return identity === null ? `a:${key}` : `u${identity.user.length}:${identity.user}:${key}`;
}
