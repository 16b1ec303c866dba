import type { ServerApi } from '../../node/server-api.ts';
import { MAX_AFTER_BYTES, utf8Length } from '../../protocol/limits.ts';
import type { Exchange } from './exchange.ts';
import { decodeRoom, parseLimit } from './history-route.ts';
import { HttpError } from './http-error.ts';

/** `GET /v1/rooms?limit=`: rooms that have members now, on any node, sorted by name. */
export async function roomsRoute(
  exchange: Exchange,
  server: ServerApi,
  limit: string | undefined,
): Promise<void> {
  const { rooms, truncated } = await server.listRooms(parseLimit(limit));
  exchange.reply(200, { rooms, ...(truncated ? { truncated } : {}) });
}

export interface MembersQuery {
  readonly room: string;
  readonly limit: string | undefined;
  readonly after: string | undefined;
}

/** `GET /v1/rooms/:room/members?limit=&after=`: a page of who is in a room, on any node. */
export async function membersRoute(
  exchange: Exchange,
  server: ServerApi,
  query: MembersQuery,
): Promise<void> {
  const room = decodeRoom(query.room);
  const page = { limit: parseLimit(query.limit), after: parseAfter(query.after) };
  exchange.reply(200, await server.listMembers(room, page));
}

function parseAfter(value: string | undefined): string | null {
  if (value === undefined || value === '') return null;
  if (utf8Length(value) > MAX_AFTER_BYTES) {
    throw new HttpError('bad_request', 'after must be the next of the page before');
  }
  return value;
}

/** `GET /v1/nodes`: the nodes that hold a lease now. */
export async function nodesRoute(exchange: Exchange, server: ServerApi): Promise<void> {
  const nodes = await server.listNodes();
  exchange.reply(200, { node: server.nodeId, nodes: [...nodes].sort().map((id) => ({ id })) });
}
