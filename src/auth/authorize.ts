/** Decides who may do what: the only place, for every client command and every route of the HTTP API. */
import { RESERVED_PREFIX, USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Identity } from './identity.ts';
import { type Right, type RoomAccess, ruledBy, whoMay } from './rights.ts';
import {
  forbidden,
  forServer,
  needsClaim,
  needsToken,
  notGranted,
  notJoined,
  quoted,
  type Refusal,
  removed,
  withoutClaim,
  withoutData,
} from './room-refusals.ts';

export type { RoomAccess } from './rights.ts';
export type { Refusal } from './room-refusals.ts';

/** What only the server API may do in a room, in words. `acks`: how far users have read. */
const SERVER_ONLY = {
  acks: 'list the acks of',
  remove: 'remove users from',
  add: 'put users into',
  clear: 'delete the history of',
} as const;
type ServerAction = keyof typeof SERVER_ONLY;
type ClientAction = Right | 'leave';

/** Actions on a room. */
export type RoomAction = ClientAction | ServerAction;
/** Actions on the whole cluster. `user`: whether somebody is online. `revoke`: also to see what is revoked, and to end that. */
export type ClusterAction = 'rooms' | 'nodes' | 'disconnect' | 'user' | 'revoke';

/** Users that the server API keeps out of rooms. */
export interface KeptOut {
  /** Milliseconds for which the user is still kept out of the room, 0 for none. Every publish asks this. */
  leftMs(user: string, room: string): number;
}

/** Nobody is kept out. */
export const NOBODY_KEPT_OUT: KeptOut = { leftMs: () => 0 };

/** A client that asks. */
interface ClientAsker {
  /** Null: anonymous. */
  readonly identity: Identity | null;
  /** The rooms that it is in. */
  readonly rooms: readonly string[];
}

/** `server`: a request that may use the HTTP API. */
export type Asker = ClientAsker | 'server';

/** Null if permitted: then nothing was allocated, since every publish asks this. */
export function authorize(
  action: RoomAction,
  room: string,
  asker: Asker,
  access: RoomAccess,
  keptOut: KeptOut,
): Refusal | null {
  if (asker === 'server') return null;
  if (isServerOnly(action)) {
    return forbidden(`only the server API may ${SERVER_ONLY[action]} ${quoted(room)}`);
  }
  if (room.startsWith(RESERVED_PREFIX)) return inReservedRoom(action, room, asker);
  if (action === 'leave') return null;
  const { identity } = asker;
  const leftMs = identity === null ? 0 : keptOut.leftMs(identity.user, room);
  if (leftMs > 0) return removed(room, leftMs);
  const refusal = notPermitted(action, room, identity, access);
  if (refusal !== null) return refusal;
  switch (action) {
    case 'publish':
      return access.publish === 'members' ? asMember(action, room, asker, access) : null;
    case 'presence':
      return access.presenceData === false
        ? withoutData(room, access)
        : asMember(action, room, asker, access);
    case 'ack':
      return identity === null ? forbidden('only users may acknowledge: present a token') : null;
    default:
      return null;
  }
}

function isServerOnly(action: RoomAction): action is ServerAction {
  return action in SERVER_ONLY;
}

/** What a `join` asks for that needs a right of its own. */
export interface JoinAsks {
  readonly last: number | null;
  readonly resume: boolean;
  readonly members: boolean;
  /** Null: it brings no presence data. */
  readonly data: unknown;
}

/** A join without options. */
export const PLAIN_JOIN: JoinAsks = { last: null, resume: false, members: false, data: null };

/**
 * Whether a client may join a room in this way. `since` is not asked here: a client that comes back brings a
 * position, and where it may not read the history it is told of a gap instead of being refused.
 */
export function authorizeJoin(
  room: string,
  { last, resume, members, data }: JoinAsks,
  asker: ClientAsker,
  access: RoomAccess,
  keptOut: KeptOut,
): Refusal | null {
  const may = (right: Right, option: string): Refusal | null => {
    const refusal = authorize(right, room, { identity: asker.identity, rooms: [room] }, access, keptOut);
    return refusal && { ...refusal, message: `${refusal.message}. Join without ${option}` };
  };
  return (
    authorize('join', room, asker, access, keptOut) ??
    (last === null || last === 0 ? null : may('history', 'last')) ??
    // Of anonymous clients nothing is kept: `resume` means nothing there.
    (resume && asker.identity !== null ? (may('ack', 'resume') ?? may('history', 'resume')) : null) ??
    (members ? may('members', 'members') : null) ??
    (data === null ? null : may('presence', 'data'))
  );
}

/** The same for actions on more than one room. */
export function authorizeInCluster(action: ClusterAction, asker: Asker): Refusal | null {
  return asker === 'server' ? null : forbidden(`only the server API may ask for ${action}`);
}

/** An error for callers that must throw. */
export class AccessRefused extends Error {
  override readonly name = 'AccessRefused';
  readonly code: Refusal['code'];
  readonly retryAfterMs: number | undefined;

  constructor({ code, message, retryAfterMs }: Refusal) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Rooms with reserved names are closed to clients, but for `$user:<id>`, which is the user's to join and to read. */
function inReservedRoom(action: ClientAction, room: string, { identity }: ClientAsker): Refusal | null {
  const name = quoted(room);
  if (action === 'publish')
    return forbidden(`only the server API may publish in ${name}: names that start with $ are reserved`);
  if (!isPersonalRoomOf(identity, room)) {
    return forbidden(
      room.startsWith(USER_ROOM_PREFIX)
        ? `${name} is the personal room of another user`
        : `${name} is not open to clients: names that start with $ are reserved`,
    );
  }
  if (action !== 'leave') return null;
  return forbidden(`${name} is your personal room: your connections are always in it and cannot leave it`);
}

function isPersonalRoomOf(identity: Identity | null, room: string): boolean {
  return identity !== null && room === USER_ROOM_PREFIX + identity.user;
}

/** Whether the token and the room's rule permit it. Both must. */
function notPermitted(
  right: Right,
  room: string,
  identity: Identity | null,
  access: RoomAccess,
): Refusal | null {
  const who = whoMay(right, access);
  // First what no token could change.
  if (who === 'server' || who === 'nobody') return forServer(right, room, access);
  if (identity !== null) {
    const { permissions } = identity;
    if (!permissions.allows(right, room)) return notGranted(right, room, identity);
    if (access.deniesByDefault === true && !permissions.isRestricted) return withoutClaim(right, room);
  }
  if (who === 'authenticated' && identity === null) return needsToken(right, room, access);
  if (who !== 'claim' || identity?.permissions.names(ruledBy(right, access), room) === true) return null;
  return needsClaim(right, room, identity, access);
}

function asMember(
  right: 'publish' | 'presence',
  room: string,
  { rooms }: ClientAsker,
  access: RoomAccess,
): Refusal | null {
  return rooms.includes(room) ? null : notJoined(right, room, access);
}
