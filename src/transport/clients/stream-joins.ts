/** The joins that a request for an event stream asks for. What makes a join valid is decided as for the command. */
import { overLimit } from '../../connection/over-limit.ts';
import { buildCommand } from '../../protocol/commands.ts';
import type { JoinCommand, Position } from '../../protocol/frames.ts';
import { packValue } from '../../protocol/msgpack/values.ts';
import { PackError } from '../../protocol/msgpack/writer.ts';
import { decodeRoom } from '../http/history-route.ts';
import { HttpError } from '../http/http-error.ts';
import { readObject } from '../http/incoming-messages.ts';
import type { BodyFormat } from '../http/media-types.ts';

export interface RoomRequest {
  /** As in the path. */
  readonly room: string;
  readonly last: string | undefined;
  readonly since: string | undefined;
  /** The header: '' for none. */
  readonly lastEventId: string;
}

/**
 * The URL says where to begin, and the id where to go on: a browser that comes back sends both, and must miss
 * nothing. Throws `HttpError`.
 */
export function joinOfRoom({ room, last, since, lastEventId }: RoomRequest): JoinCommand {
  const name = decodeRoom(room);
  if (lastEventId !== '') return join(1, name, { since: position(lastEventId, 'Last-Event-ID') });
  return join(1, name, {
    since: since === undefined || since === '' ? null : position(since, 'since'),
    last: last === undefined || last === '' ? null : count(last),
  });
}

/** `{rooms: [{room, …}]}` with the options of a join. `since` may also be an event's id. Throws `HttpError`. */
export function joinsOfBody(body: Buffer, format: BodyFormat, maxRooms: number): JoinCommand[] {
  const value = readObject(body, format);
  if ('problem' in value) throw new HttpError('bad_request', `the body${value.problem}`);
  const { rooms } = value.fields;
  if (!Array.isArray(rooms) || rooms.length === 0) {
    throw new HttpError(
      'bad_request',
      'rooms must be a list with at least one room: {"rooms": [{"room": "chat:lobby"}]}',
    );
  }
  if (maxRooms > 0 && rooms.length > maxRooms) {
    const what = `a stream may not have ${rooms.length} rooms`;
    throw HttpError.of(overLimit('limit_exceeded', what, 'limits.roomsPerConnection', maxRooms, null));
  }
  const joins = rooms.map((entry: unknown, index) => joinOfEntry(entry, index));
  const names = new Set(joins.map(({ room }) => room));
  if (names.size < joins.length) throw new HttpError('bad_request', 'rooms has a room twice');
  return joins;
}

function joinOfEntry(entry: unknown, index: number): JoinCommand {
  const where = `rooms[${index}]`;
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw new HttpError('bad_request', `${where} is not an object with a room`);
  }
  const { room, since, data, ...others } = entry as Record<string, unknown>;
  const from = typeof since === 'string' ? position(since, `${where}: since`) : (since ?? null);
  const brought = data === undefined ? {} : { data: packed(data, `${where}: data`) };
  return join(index + 1, room, { ...others, ...brought, since: from }, `${where}: `);
}

function packed(data: unknown, what: string): Uint8Array {
  try {
    return packValue(data);
  } catch (error) {
    if (error instanceof PackError)
      throw new HttpError('bad_request', `${what} cannot be sent: ${error.message}`);
    throw error;
  }
}

function join(id: number, room: unknown, options: Record<string, unknown>, where = ''): JoinCommand {
  const command = buildCommand('join', id, room, null, options);
  if (command.type === 'rejected') throw new HttpError(command.code, where + command.message);
  return command as JoinCommand;
}

/** `epoch,offset`, as events have it for their id. */
function position(text: string, what: string): Position {
  const comma = text.lastIndexOf(',');
  const digits = text.slice(comma + 1);
  const offset = Number(digits);
  if (comma < 1 || !/^\d+$/.test(digits) || !Number.isSafeInteger(offset)) {
    throw new HttpError(
      'bad_request',
      `${what} must be epoch,offset, got ${JSON.stringify(text.slice(0, 60))}`,
    );
  }
  return [text.slice(0, comma), offset];
}

function count(text: string): number {
  if (/^\d+$/.test(text)) return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
  throw new HttpError(
    'bad_request',
    `last must be a non-negative integer, got ${JSON.stringify(text.slice(0, 60))}`,
  );
}
