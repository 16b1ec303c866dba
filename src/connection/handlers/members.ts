import type { MembersCommand } from '../../protocol/frames.ts';
import type { Connection } from '../connection.ts';

export function handleMembers(connection: Connection, command: MembersCommand): void {
  if (connection.identity && !connection.identity.permissions.mayJoin(command.room)) {
    return connection.fail(command.id, 'forbidden', 'the token does not permit reading this room');
  }
  connection.context.services.members(connection.request(command.id), command.room);
}
