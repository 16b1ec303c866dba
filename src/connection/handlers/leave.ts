import type { LeaveCommand } from '../../protocol/frames.ts';
import type { Connection } from '../connection.ts';

export function handleLeave(connection: Connection, command: LeaveCommand): void {
  connection.context.services.leave(connection.request(command.id), command.room);
}
