/** Decides who may do what: the only place, for every client command and every route of the HTTP API. */
import type { RoomRule } from '../config/room-rule.ts';
import { RESERVED_PREFIX, USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Identity } from './identity.ts';

/** What only the server API may do in a room, in words. `acks`: how far users have read. */
const SERVER_ONLY = {
  acks: 'list the acks of',
  remove: 'remove users from',
  add: 'put users into',
  clear: 'delete the history of',
} as const;
type ServerAction = keyof typeof SERVER_ONLY;
type ClientAction = 'join' | 'leave' | 'publish' | 'presence' | 'members' | 'history' | 'ack';

/** Actions on a room. */
export type RoomAction = ClientAction | ServerAction;
/** Actions on the whole cluster. `user`: whether somebody is online. `revoke`: also to see what is revoked, and to end that. */
export type ClusterAction = 'rooms' | 'nodes' | 'disconnect' | 'user' | 'revoke';

/** What a room's rule says about access. */
export type RoomAccess = Pick<RoomRule, 'join' | 'publish'> & Partial<Pick<RoomRule, 'presenceData'>>;

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

export interface Refusal {
  readonly code: 'forbidden' | 'not_joined';
  /** Names the room, and the rule or the part of the token that refuses. */
  readonly message: string;
  /** When to ask again, where that is known. */
  readonly retryAfterMs?: number;
}

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
  if (action === 'publish') return publishing(room, asker, access);
  if (action === 'presence') return bringing(room, access) ?? asMember(room, asker);
  return reading(action, room, asker, access);
}

function isServerOnly(action: RoomAction): action is ServerAction {
  return action in SERVER_ONLY;
}

/** Whether members may have presence data, which they bring with `join` or set with `presence`. */
export function bringing(room: string, { presenceData }: RoomAccess): Refusal | null {
  if (presenceData !== false) return null;
  return forbidden(`members of ${quoted(room)} may not have data: its rule says presenceData: false`);
}

function asMember(room: string, { rooms }: ClientAsker): Refusal | null {
  if (rooms.includes(room)) return null;
  return { code: 'not_joined', message: `join ${quoted(room)} first: only members have presence data` };
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

function publishing(room: string, { identity, rooms }: ClientAsker, { publish }: RoomAccess): Refusal | null {
  if (identity !== null && !identity.permissions.mayPublish(room)) return notGranted('publish', room);
  switch (publish) {
    case 'anyone':
      return null;
    case 'members':
      if (rooms.includes(room)) return null;
      return { code: 'not_joined', message: `join ${quoted(room)} first: its rule says publish: members` };
    case 'authenticated':
      return identity === null ? needsToken('publish', room) : null;
    case 'server':
      return forbidden(`only the server API may publish in ${quoted(room)}: its rule says publish: server`);
  }
}

/** Only clients that may join a room may read its messages and members. */
function reading(
  action: 'join' | 'members' | 'history' | 'ack',
  room: string,
  { identity }: ClientAsker,
  { join }: RoomAccess,
): Refusal | null {
  if (join === 'nobody')
    return forbidden(`clients may not join or read ${quoted(room)}: its rule says join: nobody`);
  if (identity === null) {
    if (join === 'authenticated') return needsToken('join', room);
    if (action !== 'ack') return null;
    return forbidden('only users may acknowledge: present a token');
  }
  return identity.permissions.mayJoin(room) ? null : notGranted('join', room);
}

function removed(room: string, leftMs: number): Refusal {
  const retryAfterMs = Math.ceil(leftMs);
  const message = `the server keeps you out of ${quoted(room)} for now`;
  return { code: 'forbidden', message, retryAfterMs };
}

function notGranted(right: 'join' | 'publish', room: string): Refusal {
  return forbidden(`the token does not grant ${right} in ${quoted(room)}: see its rooms claim`);
}

function needsToken(right: 'join' | 'publish', room: string): Refusal {
  return forbidden(`present a token first: the rule of ${quoted(room)} says ${right}: authenticated`);
}

function forbidden(message: string): Refusal {
  return { code: 'forbidden', message };
}

function quoted(room: string): string {
  return `"${room}"`;
}
