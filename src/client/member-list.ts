/** Who is in a room: the snapshot that a join brought, and what came after it. */
import type { Member, MembersResult, MembersSnapshot } from '../protocol/frames.ts';

/** Someone in a room. `P`: what they say about themselves. */
export interface PresentMember<P = unknown> extends Member {
  readonly data?: P;
}

/** Who is in a room, or one page of them. */
export interface Snapshot<P = unknown> extends MembersResult {
  readonly members: readonly PresentMember<P>[];
}

export interface MemberList<P = unknown> {
  /** In the order in which they came. Replaced whole when it changes. */
  readonly members: readonly PresentMember<P>[];
  /** Connections in the room, those that are not listed included. */
  readonly count: number;
  /** The room is too large to list: `members` is empty, and `count` is right. */
  readonly partial: boolean;
}

/** Until a join has brought a list, and where there may be none. */
export const NOBODY: MemberList<never> = Object.freeze({
  members: Object.freeze([]),
  count: 0,
  partial: false,
});

/** A partial list of nobody says that this client may no longer know. */
export function fromSnapshot({ members, count, partial }: MembersSnapshot): MemberList {
  if (partial === true && count === 0) return NOBODY;
  return { members, count, partial: partial === true };
}

/** What a `member` frame makes of a list. `who` null: the room has become large, and nobody knows any more who is here. */
export function afterMember(
  list: MemberList,
  change: 'joined' | 'left',
  who: Member | null,
  count: number,
): MemberList {
  // Without a list there is nothing to change.
  if (list === NOBODY) return list;
  // A large room that becomes small again is told as a whole.
  if (who === null || list.partial) return { members: [], count, partial: true };
  if (change === 'joined') return { ...afterPresence(list, who), count };
  return { ...list, members: list.members.filter(({ connection }) => connection !== who.connection), count };
}

/** What a `presence` frame makes of a list. An event may tell what the list has already: it changes nothing then. */
export function afterPresence(list: MemberList, who: Member): MemberList {
  if (list === NOBODY || list.partial) return list;
  const isWho = ({ connection }: Member) => connection === who.connection;
  const members = list.members.some(isWho)
    ? list.members.map((one) => (isWho(one) ? who : one))
    : [...list.members, who];
  return { ...list, members };
}
