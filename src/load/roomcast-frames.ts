/**
 * Shared by both encodings of Roomcast's protocol: how a member joins, reconnects, and handles frames other
 * than messages.
 */
import type { CommandFrame, ServerFrame } from '../protocol/frames.ts';
import { type Encoding, SUBPROTOCOL } from '../protocol/subprotocol.ts';
import type { DialectOptions } from './dialect.ts';
import type { DialectMember } from './member.ts';
import type { Tally } from './tally.ts';

/** The `session` of a connection that is in no room: it has no epoch to store. */
const NO_ROOM = '-';

export function roomcastUpgrade(
  encoding: Encoding,
  { path = '/ws', token }: DialectOptions,
): { path: string; headers: Record<string, string> } {
  const headers: Record<string, string> = { 'Sec-WebSocket-Protocol': SUBPROTOCOL[encoding] };
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  return { path, headers };
}

/** Asks for everything since the last message seen, if the connection was a member before. */
export function joinFrame({ roomName, session, lastOffset }: DialectMember): CommandFrame {
  if (roomName === null) throw new Error('a connection without a room does not join');
  return session === '' ? ['join', 1, roomName] : ['join', 1, roomName, { since: [session, lastOffset] }];
}

/** A frame before the connection is ready. Throws for a refusal. */
export function takeOpening(connection: DialectMember, frame: ServerFrame, tally: Tally): boolean {
  if (frame[0] === 'error') throw new Error(`a join was refused: ${frame[2]} (${frame[3]})`);
  if (frame[0] === 'hello' && connection.roomName === null) {
    connection.session = NO_ROOM;
    return true;
  }
  if (frame[0] !== 'ok') {
    takeOther(frame, tally);
    return false;
  }
  const { epoch, offset } = frame[2] as { epoch: string; offset: number };
  // The first time, and in a new numbering, it starts here. When it reconnects, it keeps its position.
  if (connection.session !== epoch) connection.lastOffset = offset;
  connection.session = epoch;
  return true;
}

/**
 * Pushes and errors. Presence does not count; the rest should not arrive in a run in which nothing breaks.
 */
export function takeOther(frame: ServerFrame, tally: Tally): void {
  if (frame[0] === 'hello' || frame[0] === 'member') return;
  if (frame[0] === 'ok') tally.acknowledged++;
  else tally.trouble(JSON.stringify(frame));
}
