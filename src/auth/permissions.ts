import { compilePattern } from '../util/pattern.ts';
import { ALL_PERMITTED, AuthFailure, type Permissions } from './identity.ts';

interface Grant {
  readonly matches: (room: string) => boolean;
  readonly join: boolean;
  readonly publish: boolean;
}

/** Maximum grants in one token; a longer claim is refused rather than searched at every command. */
const MAX_GRANTS = 100;

/**
 * Permissions from a token's `rooms` claim: a list of `{"match": "chat:*", "join": true, "publish": false}`.
 * The first grant whose pattern matches a room decides. What it leaves out is not permitted, nor is a room
 * that no grant matches. A token without the claim is not restricted. Throws `AuthFailure` for a malformed
 * claim.
 */
export function permissionsFrom(claim: unknown): Permissions {
  if (claim === undefined) return ALL_PERMITTED;
  if (!Array.isArray(claim) || claim.length > MAX_GRANTS) throw malformed();
  const grants = claim.map(toGrant);
  return {
    mayJoin: (room) => firstMatch(grants, room)?.join ?? false,
    mayPublish: (room) => firstMatch(grants, room)?.publish ?? false,
  };
}

/** A plain loop: every publish runs this, and `find` would make a closure each time. */
function firstMatch(grants: readonly Grant[], room: string): Grant | undefined {
  for (const grant of grants) if (grant.matches(room)) return grant;
  return undefined;
}

function toGrant(value: unknown): Grant {
  if (typeof value !== 'object' || value === null) throw malformed();
  const { match, join, publish } = value as Record<string, unknown>;
  if (typeof match !== 'string') throw malformed();
  return { matches: compilePattern(match), join: join === true, publish: publish === true };
}

function malformed(): AuthFailure {
  const shape = `a list of at most ${MAX_GRANTS} {match, join, publish}`;
  return new AuthFailure('unauthorized', `the token's rooms claim must be ${shape}`);
}
