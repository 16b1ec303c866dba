import type { PublishCommand } from '../../protocol/frames.ts';
import { RESERVED_PREFIX } from '../../protocol/limits.ts';
import type { Connection } from '../connection.ts';

export function handlePublish(connection: Connection, command: PublishCommand): void {
  if (command.room.startsWith(RESERVED_PREFIX)) {
    return connection.fail(
      command.id,
      'forbidden',
      'rooms that start with $ are published to by the server API',
    );
  }
  if (connection.identity && !connection.identity.permissions.mayPublish(command.room)) {
    return connection.fail(command.id, 'forbidden', 'the token does not permit publishing in this room');
  }
  connection.context.services.publish(connection, command);
}
