import type { PingCommand } from '../../protocol/frames.ts';
import type { Connection } from '../connection.ts';

export function handlePing(connection: Connection, command: PingCommand): void {
  connection.ok(command.id, {});
}
