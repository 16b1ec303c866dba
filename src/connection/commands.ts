/** The commands of clients: `authorize` decides who may give each one, and the node carries it out. */
import {
  authorize,
  authorizeJoin,
  type KeptOut,
  type RoomAccess,
  type RoomAction,
} from '../auth/authorize.ts';
import { type AuthenticationParts, presentToken } from './authentication.ts';
import { EXTRA_UNITS } from './command-turns.ts';
import type { Connection } from './connection.ts';
import type { CommandTable } from './context.ts';
import type { Request, RoomServices } from './services.ts';

export interface CommandParts extends AuthenticationParts {
  readonly services: RoomServices;
  /** The access rule of a room. */
  readonly access: (room: string) => RoomAccess;
  readonly keptOut: KeptOut;
}

export function clientCommands(parts: CommandParts): CommandTable<Connection> {
  const { services, access, keptOut } = parts;
  /** If the command is not permitted, the client gets the reason. */
  const may = (action: RoomAction, connection: Connection, id: number, room: string): boolean => {
    const refusal = authorize(action, room, connection, access(room), keptOut);
    if (refusal === null) return true;
    connection.refuse(id, refusal);
    return false;
  };
  return {
    publish(connection, command) {
      if (!may('publish', connection, command.id, command.room)) return;
      connection.context.turns.left -= EXTRA_UNITS.publish;
      services.publish(connection, command);
    },
    join(connection, command) {
      if (!connection.takesJoin(command.id)) return;
      const { id, room } = command;
      connection.context.turns.left -= EXTRA_UNITS.join;
      const refusal = authorizeJoin(room, command, connection, access(room), keptOut);
      if (refusal === null) services.join(requestOf(connection, id), room, command);
      else connection.refuse(id, refusal);
    },
    leave(connection, { id, room }) {
      if (may('leave', connection, id, room)) services.leave(requestOf(connection, id), room);
    },
    presence(connection, { id, room, data }) {
      if (may('presence', connection, id, room)) services.presence(requestOf(connection, id), room, data);
    },
    members(connection, { id, room, limit, after }) {
      if (!may('members', connection, id, room)) return;
      connection.context.turns.left -= EXTRA_UNITS.read;
      services.members(requestOf(connection, id), room, { limit, after });
    },
    history(connection, { id, room, since, limit }) {
      if (!may('history', connection, id, room)) return;
      connection.context.turns.left -= EXTRA_UNITS.read;
      services.history(requestOf(connection, id), room, since, limit);
    },
    ack(connection, { id, room, position }) {
      if (!may('ack', connection, id, room)) return;
      // Permitted to users only.
      services.ack(requestOf(connection, id), connection.user!, room, position);
    },
    auth(connection, command) {
      connection.context.turns.left -= EXTRA_UNITS.auth;
      presentToken(connection, command, parts);
    },
    ping: (connection, { id }) => connection.ok(id, {}),
  };
}

/** A handle on the reply of one command, which counts as waiting until then. */
function requestOf(connection: Connection, id: number): Request {
  connection.requests++;
  return {
    connection,
    ok: (result) => {
      connection.requests--;
      connection.ok(id, result);
    },
    okHistory: (epoch, offset, frames) => {
      // Throws for frames that are no messages; then `fail` follows.
      const reply = id === 0 ? null : connection.codec.encodeHistoryOk(id, epoch, offset, frames);
      connection.requests--;
      if (reply !== null) connection.queue(reply);
    },
    fail: (code, message, details) => {
      connection.requests--;
      connection.fail(id, code, message, details);
    },
  };
}
