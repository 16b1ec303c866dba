/** Who is in a room: the snapshot that a join brought, and what came after it. */
import type { PresentMember, Snapshot } from './wire.ts';

export interface MemberList<P = unknown> {
  /** In the order in which they came. Replaced whole when it changes. */
  readonly members: readonly PresentMember<P>[];
  /** Connections in the room, those that are not listed included. */
  readonly count: number;
  /** The room is too large to list: `members` is not complete. */
  readonly partial: boolean;
}

export const NOBODY: MemberList<never> = Object.freeze({
  members: Object.freeze([]),
  count: 0,
  partial: false,
});

export function fromSnapshot({ members, count, partial, truncated }: Snapshot): MemberList {
  return { members, count, partial: partial === true || truncated === true };
}

/** What a `member` frame makes of a list. `who` null: the room has become large, and nobody knows any more who is here. */
export function afterMember(
  list: MemberList,
  change: 'joined' | 'left',
  who: PresentMember | null,
  count: number,
): MemberList {
  if (who === null) return { members: [], count, partial: true };
  const others = list.members.filter(({ connection }) => connection !== who.connection);
  return { ...list, members: change === 'joined' ? [...others, who] : others, count };
}

/** What a `presence` frame makes of a list. Someone who is not in it has left meanwhile. */
export function afterPresence(list: MemberList, who: PresentMember): MemberList {
  const members = list.members.map((one) => (one.connection === who.connection ? who : one));
  return { ...list, members };
}
