/** Why somebody may not do something in a room: each message names the rule, or the claim of the token, that refuses. */
import type { Identity } from './identity.ts';
import { type Right, type RoomAccess, ruledBy, whoMay } from './rights.ts';

export interface Refusal {
  readonly code: 'forbidden' | 'not_joined';
  /** Names the room, and the rule or the part of the token that refuses. */
  readonly message: string;
  /** When to ask again, where that is known. */
  readonly retryAfterMs?: number;
}

/** What a client would do, for a message. */
const VERBS: Readonly<Record<Right, string>> = {
  join: 'join',
  publish: 'publish in',
  members: 'list the members of',
  history: 'read the history of',
  ack: 'acknowledge in',
  presence: 'bring presence data to',
};

export function removed(room: string, leftMs: number): Refusal {
  const retryAfterMs = Math.ceil(leftMs);
  const message = `the server keeps you out of ${quoted(room)} for now`;
  return { code: 'forbidden', message, retryAfterMs };
}

export function notGranted(right: Right, room: string, { permissions }: Identity): Refusal {
  // A right that the claim leaves out follows `join`.
  const refused = right === 'publish' || permissions.allows('join', room) ? right : 'join';
  const entry = permissions.entryFor(room);
  const where =
    entry === null ? 'no entry of its rooms claim matches' : `see ${quoted(entry)} in its rooms claim`;
  return forbidden(`the token does not grant ${refused} in ${quoted(room)}: ${where}`);
}

export function withoutClaim(right: Right, room: string): Refusal {
  const why = 'it has no rooms claim, and this node refuses what nothing permits (defaultDeny)';
  return forbidden(`the token does not grant ${right} in ${quoted(room)}: ${why}`);
}

export function needsToken(right: Right, room: string, access: RoomAccess): Refusal {
  return forbidden(`present a token to ${VERBS[right]} ${quoted(room)}: ${ruleOf(right, access)}`);
}

export function needsClaim(
  right: Right,
  room: string,
  identity: Identity | null,
  access: RoomAccess,
): Refusal {
  const token =
    identity === null ? 'present a token whose rooms claim grants' : "the token's rooms claim must grant";
  const ruled = ruledBy(right, access);
  return forbidden(`${token} ${ruled} in ${quoted(room)} by name: ${ruleOf(right, access)}`);
}

export function forServer(right: Right, room: string, access: RoomAccess): Refusal {
  const who = right === 'join' ? 'clients may not' : 'only the server API may';
  return forbidden(`${who} ${VERBS[right]} ${quoted(room)}: ${ruleOf(right, access)}`);
}

export function withoutData(room: string, access: RoomAccess): Refusal {
  return forbidden(`members of ${quoted(room)} may not have data: ${named(access)} says presenceData: false`);
}

export function notJoined(right: 'publish' | 'presence', room: string, access: RoomAccess): Refusal {
  const why =
    right === 'publish' ? `${named(access)} says publish: members` : 'only members have presence data';
  return { code: 'not_joined', message: `join ${quoted(room)} first: ${why}` };
}

/** What the rule says about a right, as it is written. */
function ruleOf(right: Right, access: RoomAccess): string {
  const { match, deniesByDefault } = access;
  if (match === null && deniesByDefault === true) return 'no rule matches it, and defaultDeny is on';
  const ruled = ruledBy(right, access);
  const key = ruled === 'join' || ruled === 'publish' ? ruled : `access.${ruled}`;
  const says = `${named(access)} says ${key}: ${whoMay(ruled, access)}`;
  return deniesByDefault === true ? `${says}, or does not say (defaultDeny)` : says;
}

function named({ match }: RoomAccess): string {
  return typeof match === 'string' ? `its rule ${quoted(match)}` : 'its rule';
}

export function forbidden(message: string): Refusal {
  return { code: 'forbidden', message };
}

export function quoted(room: string): string {
  return `"${room}"`;
}
