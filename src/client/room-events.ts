/** What a room tells, and what may be asked of it. */
import type { GapReason, Position } from '../protocol/frames.ts';
import type { RefusedError } from './errors.ts';
import type { MemberList, PresentMember } from './member-list.ts';

export interface RoomOptions<P = unknown> {
  /** The newest so many kept messages come first. Only on the first join: later ones go on where the last one stopped. */
  readonly last?: number;
  /** Begin after this position. */
  readonly since?: Position;
  /** Begin after what the user has acknowledged. */
  readonly resume?: boolean;
  /** Keep a live list of members: `room.members`. */
  readonly members?: boolean;
  /** What others see beside this member. */
  readonly presence?: P;
}

/**
 * `waiting` for a connection, `joining`, `catching-up` with what was missed, `joined`: live. `refused` or `removed` by the node: the
 * client does not try again by itself. `left`: with the last handle, or because the client is closed.
 */
export type RoomState = 'waiting' | 'joining' | 'catching-up' | 'joined' | 'refused' | 'removed' | 'left';

export interface Message<T = unknown> {
  readonly room: string;
  /** 0 in rooms without history. */
  readonly offset: number;
  /** Milliseconds since the Unix epoch, at the node that accepted it. */
  readonly time: number;
  /** User id; connection id of an anonymous sender; null for the server. */
  readonly sender: string | null;
  readonly data: T;
}

/** A message that is not kept. */
export type Signal<S = unknown> = Omit<Message<S>, 'offset'>;

/** What a join brought, told when the room has caught up. */
export interface Joined {
  /** Everything since the position that was asked for came. False on a first join without a position. */
  readonly recovered: boolean;
  /** Messages that came with this join, ahead of the live ones. */
  readonly missed: number;
  /** Messages that are lost: history no longer had them, or this client may not read it. */
  readonly gap: number;
  /** The numbering began anew: what else is missing is unknown. */
  readonly reset: boolean;
}

/**
 * Messages `from` to `to` do not follow. `expired` and `forbidden` are loss: history no longer has them, or this client may not read
 * it. `history` still has the others.
 */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
}

export interface MemberChange<P = unknown> {
  readonly change: 'joined' | 'left';
  /** Null in large rooms, where one event sums up many changes. */
  readonly who: PresentMember<P> | null;
  /** Connections in the room now. */
  readonly count: number;
}

export interface RoomEvents<T = unknown, S = unknown, P = unknown> {
  message: Message<T>;
  signal: Signal<S>;
  /** Someone came or left. */
  member: MemberChange<P>;
  /** Someone changed their presence data. */
  presence: PresentMember<P>;
  /** The list that `members: true` keeps has changed. */
  members: MemberList<P>;
  gap: Gap;
  /** Where the room goes on now. */
  reset: { readonly position: Position };
  joined: Joined;
  refused: RefusedError;
  removed: { readonly reason: string };
  state: RoomState;
}

/** What a membership tells its rooms. */
export interface MembershipEvents extends RoomEvents {
  /** Nothing follows, until someone calls `rejoin`. Null: as the application wanted. */
  ended: Error | null;
}
