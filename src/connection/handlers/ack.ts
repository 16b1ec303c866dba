import type { AckCommand } from '../../protocol/frames.ts';
import { RESERVED_PREFIX } from '../../protocol/limits.ts';
import type { Connection } from '../connection.ts';

/** Keeps how far the connection's user has read. It takes no membership, only the permission to have one. */
export function handleAck(connection: Connection, { id, room, position }: AckCommand): void {
  const { identity } = connection;
  if (identity === null) {
    return connection.fail(id, 'forbidden', 'only authenticated users have a position that can be kept');
  }
  if (room.startsWith(RESERVED_PREFIX) || !identity.permissions.mayJoin(room)) {
    return connection.fail(id, 'forbidden', 'the token does not permit joining this room');
  }
  connection.context.services.ack(connection.request(id), identity.user, room, position);
}
