import type { ServerApi } from '../../node/server-api.ts';
import { RESERVED_PREFIX, utf8Length } from '../../protocol/limits.ts';
import type { Exchange } from './exchange.ts';
import { decodeRoom } from './history-route.ts';
import { HttpError } from './http-error.ts';
import { readFields } from './request-body.ts';
import { userProblem } from './users-route.ts';

/** Bytes of a reason: it goes to people, in a frame. */
const MAX_REASON_BYTES = 200;
/** For longer, do not issue tokens. */
const MAX_FOR_MS = 30 * 86_400_000;

export interface MembershipRouteOptions {
  readonly bodyBytes: number;
}

/** `POST /v1/rooms/:room/remove` `{user, reason?, forMs?}` */
export async function removeRoute(
  exchange: Exchange,
  server: ServerApi,
  segment: string,
  { bodyBytes }: MembershipRouteOptions,
): Promise<void> {
  const room = ordinaryRoom(segment);
  const { user, reason, forMs } = await readFields(exchange, bodyBytes, ['user', 'reason', 'forMs']);
  const removal = { reason: checkedReason(reason), forMs: checkedForMs(forMs) };
  await server.removeFromRoom(room, checkedUser(user), removal, exchange.key);
  exchange.reply(200, {});
}

/** `POST /v1/rooms/:room/add` `{user}` */
export async function addRoute(
  exchange: Exchange,
  server: ServerApi,
  segment: string,
  { bodyBytes }: MembershipRouteOptions,
): Promise<void> {
  const room = ordinaryRoom(segment);
  const { user } = await readFields(exchange, bodyBytes, ['user']);
  await server.addToRoom(room, checkedUser(user));
  exchange.reply(200, {});
}

function ordinaryRoom(segment: string): string {
  const room = decodeRoom(segment);
  if (!room.startsWith(RESERVED_PREFIX)) return room;
  const says = `nobody is put into "${room}" or removed from it: names that start with $ are reserved`;
  throw new HttpError('bad_request', says);
}

function checkedUser(user: unknown): string {
  if (user === undefined) throw new HttpError('bad_request', 'the body: user is missing');
  if (typeof user !== 'string') throw new HttpError('bad_request', 'the body: user must be a string');
  const problem = userProblem(user);
  if (problem !== null) throw new HttpError('bad_request', `the body: user ${problem}`);
  return user;
}

function checkedReason(reason: unknown): string {
  if (reason === undefined || reason === null) return '';
  if (typeof reason !== 'string') throw new HttpError('bad_request', 'the body: reason must be a string');
  const bytes = utf8Length(reason);
  if (bytes <= MAX_REASON_BYTES) return reason;
  throw new HttpError(
    'bad_request',
    `the body: reason may have at most ${MAX_REASON_BYTES} bytes, got ${bytes}`,
  );
}

function checkedForMs(forMs: unknown): number | null {
  if (forMs === undefined || forMs === null) return null;
  if (Number.isSafeInteger(forMs) && (forMs as number) >= 0 && (forMs as number) <= MAX_FOR_MS) {
    return forMs as number;
  }
  const says = `forMs must be a whole number from 0 to ${MAX_FOR_MS} (30 days)`;
  throw new HttpError('bad_request', `the body: ${says}${typeof forMs === 'number' ? `, got ${forMs}` : ''}`);
}
