import { compilePattern } from '../util/pattern.ts';
import { ALL_PERMITTED, AuthFailure, type Permissions } from './identity.ts';
import { RIGHTS, RIGHTS_BESIDE_JOIN, type Right } from './rights.ts';

/** One entry of the claim. */
interface Grant {
  readonly match: string;
  readonly matches: (room: string) => boolean;
  /** The bits of the rights that it grants. */
  readonly granted: number;
  /** The bits of those that it grants by name. */
  readonly named: number;
}

/** Maximum grants in one token; a longer claim is refused rather than searched at every command. */
const MAX_GRANTS = 100;

const BITS = Object.fromEntries(RIGHTS.map((right, at) => [right, 1 << at])) as Readonly<
  Record<Right, number>
>;

/**
 * Permissions from a token's `rooms` claim: a list of `{"match": "chat:*", "join": true, "publish": false}`.
 * The first grant whose pattern matches a room decides. `join` and `publish` that it leaves out are not
 * permitted, nor is a room that no grant matches; the other rights follow `join` where it leaves them out. A
 * token without the claim is not restricted. Throws `AuthFailure` for a malformed claim.
 */
export function permissionsFrom(claim: unknown): Permissions {
  if (claim === undefined) return ALL_PERMITTED;
  if (!Array.isArray(claim) || claim.length > MAX_GRANTS) throw malformed();
  const grants = claim.map(toGrant);
  return {
    isRestricted: true,
    allows: (right, room) => ((firstMatch(grants, room)?.granted ?? 0) & BITS[right]) !== 0,
    names: (right, room) => ((firstMatch(grants, room)?.named ?? 0) & BITS[right]) !== 0,
    entryFor: (room) => firstMatch(grants, room)?.match ?? null,
  };
}

/** A plain loop: every publish runs this, and `find` would make a closure each time. */
function firstMatch(grants: readonly Grant[], room: string): Grant | undefined {
  for (const grant of grants) if (grant.matches(room)) return grant;
  return undefined;
}

function toGrant(value: unknown): Grant {
  if (typeof value !== 'object' || value === null) throw malformed();
  const { match, ...rights } = value as Record<string, unknown>;
  if (typeof match !== 'string') throw malformed();
  const named = bitsOf(RIGHTS.filter((right) => rights[right] === true));
  const follows =
    rights.join === true ? RIGHTS_BESIDE_JOIN.filter((right) => rights[right] === undefined) : [];
  return { match, matches: compilePattern(match), granted: named | bitsOf(follows), named };
}

function bitsOf(rights: readonly Right[]): number {
  return rights.reduce((bits, right) => bits | BITS[right], 0);
}

function malformed(): AuthFailure {
  const shape = `a list of at most ${MAX_GRANTS} {match, ${RIGHTS.join(', ')}}`;
  return new AuthFailure('unauthorized', `the token's rooms claim must be ${shape}`);
}
