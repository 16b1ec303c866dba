import type { BrokerNode } from '../../node/broker-node.ts';
import { roomNameProblem, USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import { type Exchange, HttpError } from './exchange.ts';
import { decoded } from './query.ts';

/** `POST /v1/users/:user/disconnect`: ends every connection of a user, on every node. A body is not looked at. */
export async function disconnectRoute(exchange: Exchange, node: BrokerNode, segment: string): Promise<void> {
  await node.disconnectUser(decodeUser(segment));
  exchange.reply(200, {});
}

/** Refuses what no token could name; see `TokenAuthenticator`. Throws `HttpError`. */
function decodeUser(segment: string): string {
  const user = decoded(segment);
  if (user === null) throw new HttpError('bad_request', 'the user in the path is not percent-encoded UTF-8');
  if (user === '') throw new HttpError('bad_request', 'the user in the path is empty');
  // The user's personal room has it in its name.
  const problem = roomNameProblem(USER_ROOM_PREFIX + user);
  if (problem) throw new HttpError('bad_request', `this cannot name a user: ${problem}`);
  return user;
}
