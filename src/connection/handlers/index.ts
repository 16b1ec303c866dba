import { CLOSE } from '../../protocol/codes.ts';
import type { Command } from '../../protocol/frames.ts';
import type { Connection } from '../connection.ts';
import { handleAck } from './ack.ts';
import { handleAuth } from './auth.ts';
import { handleHistory } from './history.ts';
import { handleJoin } from './join.ts';
import { handleLeave } from './leave.ts';
import { handleMembers } from './members.ts';
import { handlePing } from './ping.ts';
import { handlePublish } from './publish.ts';

/** Runs one command. A handler replies, now or later, exactly once. */
export function handleCommand(connection: Connection, command: Command): void {
  if (connection.awaitsAuth && command.type !== 'auth') {
    connection.fail(command.id, 'unauthorized', 'authenticate first: send an auth frame with a token');
    return connection.close(CLOSE.unauthorized);
  }
  switch (command.type) {
    case 'publish':
      return handlePublish(connection, command);
    case 'join':
      return handleJoin(connection, command);
    case 'leave':
      return handleLeave(connection, command);
    case 'members':
      return handleMembers(connection, command);
    case 'history':
      return handleHistory(connection, command);
    case 'ack':
      return handleAck(connection, command);
    case 'auth':
      return handleAuth(connection, command);
    case 'ping':
      return handlePing(connection, command);
  }
}
