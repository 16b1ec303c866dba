import type { ServerApi } from '../../node/server-api.ts';
import { roomNameProblem, USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { decoded } from './query.ts';

/** `POST /v1/users/:user/disconnect`: closes every connection of a user, on every node. Ignores the body. */
export async function disconnectRoute(exchange: Exchange, server: ServerApi, segment: string): Promise<void> {
  await server.disconnectUser(decodeUser(segment));
  exchange.reply(200, {});
}

/** `GET /v1/users/:user`: whether the user is connected, to any node. */
export async function userRoute(exchange: Exchange, server: ServerApi, segment: string): Promise<void> {
  const user = decodeUser(segment);
  exchange.reply(200, { user, ...(await server.statusOfUser(user)) });
}

/** What is wrong with a user's name, or null. No token could have such a name; see `TokenAuthenticator`. */
export function userProblem(user: string): string | null {
  if (user === '') return 'is empty';
  // The user's personal room contains the user's name.
  const problem = roomNameProblem(USER_ROOM_PREFIX + user);
  return problem === null ? null : `is invalid: ${problem}`;
}

/** Throws `HttpError`. */
function decodeUser(segment: string): string {
  const user = decoded(segment);
  if (user === null) throw new HttpError('bad_request', 'the user in the path is not percent-encoded UTF-8');
  const problem = userProblem(user);
  if (problem !== null) throw new HttpError('bad_request', `the user in the path ${problem}`);
  return user;
}
