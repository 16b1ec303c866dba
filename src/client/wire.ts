/** Frames that this client understands beside those of `protocol/frames.ts`. */
import type { JoinOptions, JoinResult, Member, MembersResult, PublishOptions } from '../protocol/frames.ts';

/** Someone in a room, with what they say about themselves. */
export interface PresentMember<P = unknown> extends Member {
  readonly data?: P;
}

export interface ClientJoinOptions extends JoinOptions {
  /** Presence data of this member. */
  readonly data?: unknown;
  /** The reply lists who is in the room. */
  readonly members?: true;
}

export interface ClientJoinResult extends Omit<JoinResult, 'members'> {
  readonly members?: Snapshot;
}

/** Who is in a room. `partial`: it is too large to list. */
export interface Snapshot extends Omit<MembersResult, 'members'> {
  readonly members: readonly PresentMember[];
  readonly partial?: true;
}

export interface ClientPublishOptions extends PublishOptions {
  readonly conflateKey?: string;
}

export type PresenceFrame = readonly ['presence', room: string, who: PresentMember];
export type PresenceCommand = readonly ['presence', id: number, room: string, data: unknown];
