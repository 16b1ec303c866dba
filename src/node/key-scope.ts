/**
 * Idempotency keys as the backplane sees them: each is stored within a scope, so that no client can use up or
 * discover the key of another. Each user has a scope, the server API has one, and all anonymous clients share
 * one: after a reconnect, perhaps through another node, only the key itself says that it is the same client.
 */
import type { Identity } from '../auth/identity.ts';

/** A key of the server API. */
export function serverKey(key: string): string {
  return `s:${key}`;
}

/** A key of a client; null for an anonymous one. The length prefix keeps the scopes of two users apart. */
export function clientKey(identity: Identity | null, key: string): string {
  return identity === null ? `a:${key}` : `u${identity.user.length}:${identity.user}:${key}`;
}
