import type { ServerApi } from '../../node/server-api.ts';
import type { Exchange } from './exchange.ts';
import { decodeRoom, parseLimit } from './history-route.ts';
import { HttpError } from './http-error.ts';

export interface AcksQuery {
  readonly room: string;
  readonly from: string | undefined;
  readonly limit: string | undefined;
}

/** `GET /v1/rooms/:room/acks?from=N&limit=`: users who have read up to N or further, highest first. */
export async function acksRoute(exchange: Exchange, server: ServerApi, query: AcksQuery): Promise<void> {
  const room = decodeRoom(query.room);
  const from = parseFrom(query.from);
  const limit = parseLimit(query.limit);
  if (!server.keepsAcks(room)) {
    throw new HttpError('bad_request', 'this room keeps no acks: set acks in its rule');
  }
  const { epoch, offset, count, users } = await server.listAcks(room, from, limit);
  const truncated = users.length < count ? { truncated: true } : {};
  exchange.reply(200, { epoch, offset, count, users, ...truncated });
}

function parseFrom(value: string | undefined): number | null {
  if (value === undefined || value === '') return null;
  const from = Number(value);
  if (!Number.isSafeInteger(from) || from < 0) {
    throw new HttpError('bad_request', 'from must be a non-negative integer');
  }
  return from;
}
