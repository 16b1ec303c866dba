import type { JoinCommand } from '../../protocol/frames.ts';
import { RESERVED_PREFIX } from '../../protocol/limits.ts';
import type { Connection } from '../connection.ts';

export function handleJoin(connection: Connection, command: JoinCommand): void {
  if (command.room.startsWith(RESERVED_PREFIX)) {
    return connection.fail(
      command.id,
      'forbidden',
      'rooms that start with $ are not joined: the node puts you in yours',
    );
  }
  if (connection.identity && !connection.identity.permissions.mayJoin(command.room)) {
    return connection.fail(command.id, 'forbidden', 'the token does not permit joining this room');
  }
  const { id, room, since, resume } = command;
  connection.context.services.join(connection.request(id), room, since, resume);
}
