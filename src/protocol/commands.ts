/**
 * What makes a command valid. Both codecs deliver the elements of a frame as JavaScript values (a payload
 * packed) and leave every rule to this file. A field of the wrong type is `bad_frame`; one of the right type
 * with an invalid value is `bad_request`, or `bad_room` for a room name.
 */
import type { ErrorCode } from './codes.ts';
import type { Command, PackedValue, Position, RejectedCommand, Undecodable } from './frames.ts';
import { keyProblem, MAX_AFTER_BYTES, roomNameProblem, utf8Length } from './limits.ts';

/** The options that this version knows, not checked yet. */
export interface RawOptions {
  readonly since?: unknown;
  readonly limit?: unknown;
  readonly key?: unknown;
  readonly echo?: unknown;
  readonly ephemeral?: unknown;
  readonly conflateKey?: unknown;
  readonly resume?: unknown;
  readonly last?: unknown;
  /** Packed. */
  readonly data?: PackedValue;
  readonly members?: unknown;
  readonly after?: unknown;
}

/** Null in MessagePack. */
const NIL = 0xc0;

/** Shared, because a peer can put tens of thousands of these into one WebSocket message. */
export const NOT_AN_ARRAY = rejected(0, 'bad_frame', 'a frame is not an array');
export const EMPTY_FRAME = rejected(0, 'bad_frame', 'a frame is empty');
/**
 * One for a whole WebSocket message: read as MessagePack, each character of a text would be a malformed
 * frame.
 */
export const TEXT_FOR_MSGPACK = rejected(
  0,
  'bad_frame',
  'this connection speaks MessagePack: send binary messages, or offer the subprotocol roomcast.v1.json',
);
export const BINARY_FOR_JSON = rejected(
  0,
  'bad_frame',
  'this connection speaks JSON: send text messages, or offer the subprotocol roomcast.v1.msgpack',
);

export function rejected(id: number, code: ErrorCode, message: string): RejectedCommand {
  return { type: 'rejected', id, code, message };
}

export function undecodable(reason: string): Undecodable {
  return { type: 'undecodable', reason };
}

/** The id of a frame if it is valid, else 0. */
export function idOrZero(id: unknown): number {
  // Adding 0 turns -0, which JSON can spell, into 0.
  return isCount(id) ? id + 0 : 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Builds the command of a frame or says why not. `target`: the element after the id, a room or a token.
 * `data`: the value of a publish or a presence, null if the frame has none. `options`: undefined or null if the frame has
 * none; for an ack, whose fourth element is a position, that position.
 */
export function buildCommand(
  type: unknown,
  id: unknown,
  target: unknown,
  data: PackedValue | null,
  options: unknown,
): Command | RejectedCommand {
  if (typeof type !== 'string') return rejected(idOrZero(id), 'bad_frame', 'the frame type must be a string');
  if (type === 'publish') return buildPublish(id, target, data, options);
  if (!isCommandType(type)) return rejected(idOrZero(id), 'bad_frame', 'unknown frame type');
  if (!isCount(id)) return badId();
  if (type === 'ping') return { type, id: id + 0 };
  if (type === 'auth') return buildAuth(id + 0, target);
  const refused = refusedRoom(id, target);
  if (refused !== null) return refused;
  const room = target as string;
  if (type === 'leave') return { type, id: id + 0, room };
  if (type === 'members') return buildMembers(id + 0, room, options);
  if (type === 'presence') return buildPresence(id + 0, room, data);
  if (type === 'ack') return buildAck(id + 0, room, options);
  return type === 'join' ? buildJoin(id + 0, room, options) : buildHistory(id + 0, room, options);
}

const OTHER_TYPES = ['join', 'leave', 'presence', 'members', 'history', 'ack', 'auth', 'ping'] as const;

function isCommandType(type: string): type is (typeof OTHER_TYPES)[number] {
  return (OTHER_TYPES as readonly string[]).includes(type);
}

function badId(): RejectedCommand {
  return rejected(0, 'bad_frame', 'the id must be a non-negative integer');
}

function refusedRoom(id: number, room: unknown): RejectedCommand | null {
  if (typeof room !== 'string') return rejected(id + 0, 'bad_frame', 'the room must be a string');
  const problem = roomNameProblem(room);
  return problem === null ? null : rejected(id + 0, 'bad_room', problem);
}

function buildPublish(
  id: unknown,
  room: unknown,
  data: PackedValue | null,
  options: unknown,
): Command | RejectedCommand {
  if (!isCount(id)) return badId();
  const refused = refusedRoom(id, room);
  if (refused !== null) return refused;
  if (data === null) return rejected(id + 0, 'bad_frame', 'publish needs data');
  if (!isOptions(options)) return badOptions(id);
  const key = options?.key ?? null;
  if (key !== null && typeof key !== 'string') return rejected(id + 0, 'bad_frame', 'key must be a string');
  const wrong = key === null ? null : keyProblem(key);
  if (wrong !== null) return rejected(id + 0, 'bad_request', wrong);
  const echo = options?.echo ?? true;
  if (typeof echo !== 'boolean') return rejected(id + 0, 'bad_frame', 'echo must be a boolean');
  const ephemeral = options?.ephemeral ?? false;
  if (typeof ephemeral !== 'boolean') return rejected(id + 0, 'bad_frame', 'ephemeral must be a boolean');
  const conflateKey = options?.conflateKey ?? null;
  if (conflateKey !== null && typeof conflateKey !== 'string')
    return rejected(id + 0, 'bad_frame', 'conflateKey must be a string');
  const clash = conflateKey === null && !ephemeral ? null : kindProblem(ephemeral, key, conflateKey);
  if (clash !== null) return rejected(id + 0, 'bad_request', clash);
  return { type: 'publish', id: id + 0, room: room as string, data, key, echo, ephemeral, conflateKey };
}

/** What is wrong with these options of a publish together, or null. */
export function kindProblem(
  ephemeral: boolean,
  key: string | null,
  conflateKey: string | null,
): string | null {
  if (ephemeral && key !== null) {
    return 'an ephemeral message takes no key: it is not stored, so a retry cannot be recognised';
  }
  if (ephemeral && conflateKey !== null) {
    return 'an ephemeral message takes no conflateKey: members that are behind do not get it';
  }
  return conflateKey === null ? null : keyProblem(conflateKey, 'conflateKey');
}

function buildAuth(id: number, token: unknown): Command | RejectedCommand {
  if (typeof token !== 'string') return rejected(id, 'bad_frame', 'the token must be a string');
  return { type: 'auth', id, token };
}

function buildJoin(id: number, room: string, options: unknown): Command | RejectedCommand {
  if (!isOptions(options)) return badOptions(id);
  const since = options?.since ?? null;
  if (since !== null && !isPosition(since)) return badSince(id);
  const resume = options?.resume ?? false;
  if (typeof resume !== 'boolean') return rejected(id, 'bad_frame', 'resume must be a boolean');
  if (resume && since !== null) return rejected(id, 'bad_request', 'use either since or resume, not both');
  const last = options?.last ?? null;
  if (last !== null && !Number.isSafeInteger(last))
    return rejected(id, 'bad_frame', 'last is not an integer');
  if (last !== null && (last as number) < 0) return rejected(id, 'bad_request', 'last is less than 0');
  const members = options?.members ?? false;
  if (typeof members !== 'boolean') return rejected(id, 'bad_frame', 'members must be a boolean');
  const data = unlessNil(options?.data ?? null);
  return {
    type: 'join',
    id,
    room,
    since,
    resume,
    last: last === null ? null : (last as number) + 0,
    data,
    members,
  };
}

function buildPresence(id: number, room: string, data: PackedValue | null): Command | RejectedCommand {
  if (data === null)
    return rejected(id, 'bad_frame', 'presence needs data: null removes what the member has');
  return { type: 'presence', id, room, data: unlessNil(data) };
}

function unlessNil(data: PackedValue | null): PackedValue | null {
  return data === null || (data.length === 1 && data[0] === NIL) ? null : data;
}

function buildMembers(id: number, room: string, options: unknown): Command | RejectedCommand {
  if (!isOptions(options)) return badOptions(id);
  const limit = options?.limit ?? null;
  if (limit !== null && !Number.isSafeInteger(limit))
    return rejected(id, 'bad_frame', 'limit must be an integer');
  if (limit !== null && (limit as number) < 1) return rejected(id, 'bad_request', 'limit must be at least 1');
  const after = options?.after ?? null;
  if (after !== null && typeof after !== 'string') return rejected(id, 'bad_frame', 'after must be a string');
  if (after !== null && utf8Length(after) > MAX_AFTER_BYTES) {
    return rejected(id, 'bad_request', 'after must be the next of the page before');
  }
  return { type: 'members', id, room, limit: limit as number | null, after };
}

function buildAck(id: number, room: string, position: unknown): Command | RejectedCommand {
  if (!isPosition(position)) {
    return rejected(id, 'bad_frame', 'the position must be [epoch, offset]');
  }
  return { type: 'ack', id, room, position: [position[0], position[1] + 0] };
}

function buildHistory(id: number, room: string, options: unknown): Command | RejectedCommand {
  if (!isOptions(options)) return badOptions(id);
  const since = options?.since ?? null;
  if (since !== null && !isPosition(since)) return badSince(id);
  const limit = options?.limit ?? null;
  if (limit !== null && !Number.isSafeInteger(limit))
    return rejected(id, 'bad_frame', 'limit must be an integer');
  if (limit !== null && (limit as number) < 1) return rejected(id, 'bad_request', 'limit must be at least 1');
  return { type: 'history', id, room, since, limit: limit as number | null };
}

function isOptions(options: unknown): options is RawOptions | null | undefined {
  return options === undefined || (typeof options === 'object' && !Array.isArray(options));
}

function badOptions(id: number): RejectedCommand {
  return rejected(id + 0, 'bad_frame', 'the options must be a map');
}

export function isPosition(value: unknown): value is Position {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && isCount(value[1]);
}

function badSince(id: number): RejectedCommand {
  return rejected(id, 'bad_frame', 'since must be [epoch, offset]');
}
