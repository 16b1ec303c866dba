import type { BrokerNode } from '../../node/broker-node.ts';
import { type Exchange, HttpError } from './exchange.ts';
import { decodeRoom, parseLimit } from './history-route.ts';

export interface AcksQuery {
  readonly room: string;
  readonly from: string | undefined;
  readonly limit: string | undefined;
}

/** `GET /v1/rooms/:room/acks?from=N&limit=`: who has read up to N or further, highest first. */
export async function acksRoute(exchange: Exchange, node: BrokerNode, query: AcksQuery): Promise<void> {
  const room = decodeRoom(query.room);
  const from = parseFrom(query.from);
  const limit = parseLimit(query.limit);
  if (!node.keepsAcks(room)) {
    throw new HttpError('bad_request', 'how far users have read is not kept in this room');
  }
  const { epoch, offset, count, users } = await node.listAcks(room, from, limit);
  const truncated = users.length < count ? { truncated: true } : {};
  exchange.reply(200, { epoch, offset, count, users, ...truncated });
}

function parseFrom(value: string | undefined): number | null {
  if (value === undefined || value === '') return null;
  const from = Number(value);
  if (!Number.isSafeInteger(from) || from < 0) {
    throw new HttpError('bad_request', 'from is not a non-negative integer');
  }
  return from;
}
