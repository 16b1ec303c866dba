import type { BrokerNode } from '../../node/broker-node.ts';
import { roomNameProblem, USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import { type Exchange, HttpError } from './exchange.ts';
import { decoded } from './query.ts';

/** `POST /v1/users/:user/disconnect`: closes every connection of a user, on every node. Ignores the body. */
export async function disconnectRoute(exchange: Exchange, node: BrokerNode, segment: string): Promise<void> {
  await node.disconnectUser(decodeUser(segment));
  exchange.reply(200, {});
}

/** Refuses a name that no token could have; see `TokenAuthenticator`. Throws `HttpError`. */
function decodeUser(segment: string): string {
  const user = decoded(segment);
  if (user === null) throw new HttpError('bad_request', 'the user in the path is not percent-encoded UTF-8');
  if (user === '') throw new HttpError('bad_request', 'the user in the path is empty');
  // The user's personal room contains the user's name.
  const problem = roomNameProblem(USER_ROOM_PREFIX + user);
  if (problem) throw new HttpError('bad_request', `the user in the path is invalid: ${problem}`);
  return user;
}
