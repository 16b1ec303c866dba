import type { BrokerNode } from '../../node/broker-node.ts';
import type { Exchange } from './exchange.ts';
import { decodeRoom, parseLimit } from './history-route.ts';

/** `GET /v1/rooms?limit=`: rooms that have members now, on any node, sorted by name. */
export async function roomsRoute(
  exchange: Exchange,
  node: BrokerNode,
  limit: string | undefined,
): Promise<void> {
  const { rooms, truncated } = await node.listRooms(parseLimit(limit));
  exchange.reply(200, { rooms, ...(truncated ? { truncated } : {}) });
}

/** `GET /v1/rooms/:room/members`: who is in a room, on any node. */
export async function membersRoute(exchange: Exchange, node: BrokerNode, segment: string): Promise<void> {
  exchange.reply(200, await node.listMembers(decodeRoom(segment)));
}

/** `GET /v1/nodes`: the nodes that hold a lease now. */
export async function nodesRoute(exchange: Exchange, node: BrokerNode): Promise<void> {
  const nodes = await node.listNodes();
  exchange.reply(200, { node: node.nodeId, nodes: [...nodes].sort().map((id) => ({ id })) });
}
