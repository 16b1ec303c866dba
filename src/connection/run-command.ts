import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';
import type { Command, ErrorDetails } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';
import type { CommandTable } from './context.ts';
import type { Socket } from './socket.ts';

/** The connection that the command came from. */
export interface Commander<C> {
  readonly awaitsAuth: boolean;
  readonly socket: Socket;
  readonly context: {
    readonly commands: CommandTable<C>;
    readonly metrics: NodeMetrics;
    readonly log: Logger;
  };
  fail(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void;
  close(reason: CloseReason): void;
}

/** Carries out one command. Only an `auth` is, of a connection that has to authenticate first. */
export function runCommand<C extends Commander<C>>(connection: C, command: Command): void {
  const { commands, metrics } = connection.context;
  metrics.commands.received[command.type]++;
  if (connection.awaitsAuth && command.type !== 'auth') {
    connection.fail(command.id, 'unauthorized', 'authenticate first: send an auth frame with a token');
    return connection.close(CLOSE.unauthorized);
  }
  // The command's type selected its handler.
  attempt(connection, commands[command.type] as (connection: C, command: Command) => void, command);
}

function attempt<C extends Commander<C>>(
  connection: C,
  run: (connection: C, command: Command) => void,
  command: Command,
): void {
  try {
    run(connection, command);
  } catch (error) {
    // Our own fault must not take the node down with all of its connections.
    const address = connection.socket.remoteAddress;
    connection.context.log.error({ error, command: command.type, address }, 'command handler failed');
    connection.fail(command.id, 'internal', 'the node failed to handle this command');
  }
}
