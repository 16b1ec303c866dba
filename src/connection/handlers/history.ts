import type { HistoryCommand } from '../../protocol/frames.ts';
import type { Connection } from '../connection.ts';

export function handleHistory(connection: Connection, command: HistoryCommand): void {
  if (connection.identity && !connection.identity.permissions.mayJoin(command.room)) {
    return connection.fail(command.id, 'forbidden', 'the token does not permit reading this room');
  }
  const request = connection.request(command.id);
  connection.context.services.history(request, command.room, command.since, command.limit);
}
