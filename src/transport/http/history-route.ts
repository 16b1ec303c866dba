import type { ServerApi } from '../../node/server-api.ts';
import type { Position } from '../../protocol/frames.ts';
import { roomNameProblem } from '../../protocol/limits.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { decoded } from './query.ts';

export interface HistoryQuery {
  readonly room: string;
  readonly since: string | undefined;
  readonly limit: string | undefined;
}

/** `GET /v1/rooms/:room/history?since=epoch,offset&limit=` */
export async function historyRoute(
  exchange: Exchange,
  server: ServerApi,
  query: HistoryQuery,
): Promise<void> {
  const room = decodeRoom(query.room);
  const since = parseSince(query.since);
  const limit = parseLimit(query.limit);
  const { epoch, offset, frames } = await server.readHistory(room, since, limit);
  exchange.replyEncoded(200, (codec) => codec.encodeHistory(epoch, offset, frames));
}

/** `DELETE /v1/rooms/:room/history` */
export async function clearRoute(exchange: Exchange, server: ServerApi, segment: string): Promise<void> {
  const room = decodeRoom(segment);
  if (!server.keepsHistory(room)) {
    throw new HttpError('bad_request', 'this room keeps no history: see history in its rule');
  }
  const [epoch, offset] = (await server.clearHistory(room)) ?? ['', 0];
  exchange.reply(200, { epoch, offset });
}

/** A room name from a path segment. Throws `HttpError`. */
export function decodeRoom(segment: string): string {
  const room = decoded(segment);
  if (room === null) throw new HttpError('bad_room', 'the room in the path is not percent-encoded UTF-8');
  const problem = roomNameProblem(room);
  if (problem) throw new HttpError('bad_room', problem);
  return room;
}

function parseSince(value: string | undefined): Position | null {
  if (value === undefined || value === '') return null;
  const comma = value.lastIndexOf(',');
  const offset = Number(value.slice(comma + 1));
  if (comma === -1 || value.length === comma + 1 || !Number.isSafeInteger(offset) || offset < 0) {
    throw new HttpError('bad_request', 'since must be epoch,offset');
  }
  return [value.slice(0, comma), offset];
}

/** How many to list, null if not given. Throws `HttpError`. */
export function parseLimit(value: string | undefined): number | null {
  if (value === undefined || value === '') return null;
  const limit = Number(value);
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw new HttpError('bad_request', 'limit must be a positive integer');
  return limit;
}
