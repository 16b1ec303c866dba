import type { AckPage } from '../backplane/acks.ts';
import type { RoomsPage } from '../backplane/presence.ts';
import type { ServerApi } from '../node/server-api.ts';
import type { Removal } from '../node/server-calls.ts';
import { buildCommand } from '../protocol/commands.ts';
import type {
  HistoryResult,
  MembersOptions,
  MembersResult,
  Position,
  PublishResult,
} from '../protocol/frames.ts';
import { RESERVED_PREFIX, roomNameProblem } from '../protocol/limits.ts';
import { decodeMessageFrames } from '../protocol/message-frame.ts';
import { packValue } from '../protocol/msgpack/values.ts';

export interface HistoryRead {
  /** The oldest messages after this position. Default: the newest ones. */
  readonly since?: Position;
  /** At most so many. Default and maximum: `limits.historyPage`. */
  readonly limit?: number;
}

export interface ServerPublishOptions {
  readonly key?: string;
  /** A signal: for those who are there now. */
  readonly ephemeral?: boolean;
  /** The message takes the place of earlier ones with this key, for members that are behind. */
  readonly conflateKey?: string;
}

export interface RemoveOptions {
  /** For people. */
  readonly reason?: string;
  /** How long the user is kept out, in milliseconds; 0: no longer. Default: as before. */
  readonly forMs?: number;
}

/** Publishes as the HTTP API does, without a sender. Rejects for what it would refuse. */
export function publish(
  server: ServerApi,
  maxPayloadBytes: number,
  room: string,
  data: unknown,
  { key, ephemeral = false, conflateKey }: ServerPublishOptions,
): Promise<PublishResult> {
  const command = buildCommand('publish', 0, room, new Uint8Array(), { key, ephemeral, conflateKey });
  if (command.type === 'rejected') throw new TypeError(command.message);
  const packed = packValue(data);
  if (packed.length > maxPayloadBytes) {
    throw new RangeError(`data may have at most ${maxPayloadBytes} bytes, got ${packed.length}`);
  }
  return new Promise((resolve, reject) => {
    server.publish(
      { room, data: packed, key: key ?? null, ephemeral, conflateKey: conflateKey ?? null },
      {
        published: (epoch, offset, duplicate) =>
          resolve(duplicate ? { epoch, offset, duplicate } : { epoch, offset }),
        failed: reject,
      },
    );
  });
}

/** Stored messages, oldest first, and the position of the room. */
export async function history(
  server: ServerApi,
  room: string,
  { since, limit }: HistoryRead,
): Promise<HistoryResult> {
  const { epoch, offset, frames } = await server.readHistory(checked(room), since ?? null, limit ?? null);
  return { epoch, offset, messages: decodeMessageFrames(frames) };
}

/** A page of who is in a room. Default and maximum of `limit`: `limits.membersPage`. */
export async function members(
  server: ServerApi,
  room: string,
  { limit, after }: MembersOptions,
): Promise<MembersResult> {
  return server.listMembers(checked(room), { limit: limit ?? null, after: after ?? null });
}

export async function rooms(server: ServerApi): Promise<RoomsPage> {
  return server.listRooms(null);
}

export async function acks(server: ServerApi, room: string): Promise<AckPage> {
  return server.listAcks(checked(room), 0, null);
}

export async function remove(
  server: ServerApi,
  room: string,
  user: string,
  { reason = '', forMs }: RemoveOptions,
): Promise<void> {
  const removal: Removal = { reason, forMs: forMs ?? null };
  if (forMs !== undefined && !(Number.isSafeInteger(forMs) && forMs >= 0)) {
    throw new RangeError(`forMs must be a whole number of milliseconds, got ${forMs}`);
  }
  return server.removeFromRoom(ordinary(room), user, removal);
}

export async function add(server: ServerApi, room: string, user: string): Promise<void> {
  return server.addToRoom(ordinary(room), user);
}

/** A user, or the token with this `jti`. */
export type RevocationTarget =
  | { readonly user: string; readonly jti?: undefined }
  | { readonly jti: string; readonly user?: undefined };

export interface RevokeOptions {
  /** For how long, in milliseconds; 0 ends it. Default: 30 days. */
  readonly forMs?: number;
  /** Of a user: only tokens issued before, in ms since the Unix epoch. Default: whatever token comes. */
  readonly issuedBefore?: number;
}

const STANDARD_REVOCATION_MS = 30 * 86_400_000;

export async function revoke(
  server: ServerApi,
  { user, jti }: RevocationTarget,
  { forMs = STANDARD_REVOCATION_MS, issuedBefore }: RevokeOptions,
): Promise<void> {
  const id = user ?? jti;
  if (typeof id !== 'string' || id === '') throw new TypeError('name a user or the jti of a token to revoke');
  if (!(Number.isSafeInteger(forMs) && forMs >= 0)) {
    throw new RangeError(`forMs must be a whole number of milliseconds, got ${forMs}`);
  }
  if (issuedBefore !== undefined && user === undefined) throw new TypeError('issuedBefore is for a user');
  const older = issuedBefore === undefined ? {} : { issuedBeforeMs: issuedBefore };
  const revoked = { kind: user === undefined ? 'token' : 'user', id, ...older } as const;
  return forMs === 0 ? server.endRevocation(revoked) : server.revoke(revoked, forMs);
}

/** Where the numbers go on. A room without numbering answers `['', 0]`. */
export async function deleteHistory(server: ServerApi, room: string): Promise<Position> {
  if (!server.keepsHistory(checked(room))) throw new TypeError(`${room} keeps no history`);
  return (await server.clearHistory(room)) ?? ['', 0];
}

function ordinary(room: string): string {
  if (!checked(room).startsWith(RESERVED_PREFIX)) return room;
  throw new TypeError(`nobody is put into ${room} or removed from it: names that start with $ are reserved`);
}

function checked(room: string): string {
  const problem = roomNameProblem(room);
  if (problem !== null) throw new TypeError(problem);
  return room;
}
