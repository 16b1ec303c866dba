/** Decides who may do what: the only place, for every client command and every route of the HTTP API. */
import type { RoomRule } from '../config/room-rule.ts';
import { RESERVED_PREFIX, USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Identity } from './identity.ts';

/** Actions on a room. `acks`: list how far users have read. */
export type RoomAction = 'join' | 'leave' | 'publish' | 'presence' | 'members' | 'history' | 'ack' | 'acks';
/** Actions on the whole cluster. */
export type ClusterAction = 'rooms' | 'nodes' | 'disconnect';

/** What a room's rule says about access. */
export type RoomAccess = Pick<RoomRule, 'join' | 'publish'> & Partial<Pick<RoomRule, 'presenceData'>>;

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
}

/** Null if permitted: then nothing was allocated, since every publish asks this. */
export function authorize(
  action: RoomAction,
  room: string,
  asker: Asker,
  access: RoomAccess,
): Refusal | null {
  if (asker === 'server') return null;
  if (action === 'acks') return forbidden(`only the server API may list the acks of ${quoted(room)}`);
  if (room.startsWith(RESERVED_PREFIX)) return inReservedRoom(action, room, asker);
  if (action === 'publish') return publishing(room, asker, access);
  if (action === 'leave') return null;
  if (action === 'presence') return bringing(room, access) ?? asMember(room, asker);
  return reading(action, room, asker, access);
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

  constructor({ code, message }: Refusal) {
    super(message);
    this.code = code;
  }
}

/** Rooms with reserved names are closed to clients, but for `$user:<id>`, which is the user's to join and to read. */
function inReservedRoom(action: RoomAction, room: string, { identity }: ClientAsker): Refusal | null {
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
