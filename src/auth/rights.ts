/** What a client may be permitted in a room, one right for each: by the room's rule, and by a token's `rooms` claim. */
import type { RightBesideJoin, RoomRule } from '../config/room-rule.ts';
import type { PushFrame } from '../protocol/frames.ts';

/** Those that follow `join` where a rule or a claim leaves them out. */
export const RIGHTS_BESIDE_JOIN = [
  'members',
  'history',
  'ack',
  'presence',
] as const satisfies RightBesideJoin[];
export const RIGHTS = ['join', 'publish', ...RIGHTS_BESIDE_JOIN] as const;
export type Right = (typeof RIGHTS)[number];

/** The right that a push needs, as long as the membership lasts; null: it tells nothing of a room. */
export const PUSH_RIGHTS = {
  hello: null,
  message: 'join',
  signal: 'join',
  gap: 'join',
  reset: 'join',
  joined: 'join',
  member: 'members',
  presence: 'members',
  members: 'members',
  removed: null,
  bye: null,
} as const satisfies Record<PushFrame[0], 'join' | 'members' | null>;

/** What a room's rule says about access. */
export type RoomAccess = Pick<RoomRule, 'match' | 'join' | 'publish' | 'access' | 'deniesByDefault'> &
  Partial<Pick<RoomRule, 'presenceData'>>;

/** The right whose line in the room's rule decides: `join` for those that the rule leaves out. */
export function ruledBy(right: Right, { access }: RoomAccess): Right {
  if (right === 'publish' || right === 'join') return right;
  return access?.[right] === undefined ? 'join' : right;
}

/** Who has a right according to the room's rule. */
export function whoMay(right: Right, { join, publish, access }: RoomAccess): RoomRule['join' | 'publish'] {
  if (right === 'publish') return publish;
  return right === 'join' ? join : (access?.[right] ?? join);
}
