/** The HTTP routes of clients. They follow client authentication: a bearer here is a token, never an API key. */

import type { Authenticator } from '../../auth/identity.ts';
import type { Connection } from '../../connection/connection.ts';
import type { ConnectionContext } from '../../connection/context.ts';
import type { TopicList } from '../../connection/topic-list.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import type { Admission } from '../admission.ts';
import type { EventSocket } from '../events/event-socket.ts';
import { EventStreams } from '../events/event-streams.ts';
import type { RequestLimits } from '../http/request-limits.ts';
import type { Route } from '../http/route.ts';
import { UnfinishedBodies } from '../http/unfinished-bodies.ts';
import type { ProxyWarning } from '../proxy-warning.ts';
import { ClientAccess } from './client-access.ts';
import { ClientAccounts } from './client-accounts.ts';
import { ClientBodies } from './client-bodies.ts';
import { Cors } from './cors.ts';
import { PublishRoute } from './publish-route.ts';
import { RequestTurns } from './request-turns.ts';
import { StreamRoutes } from './stream-routes.ts';

export interface ClientRoutesParts {
  readonly node: BrokerNode;
  readonly context: ConnectionContext<Connection>;
  readonly authenticator: Authenticator | null;
  /** Empty: any. */
  readonly allowedOrigins: readonly string[];
  readonly admission: Admission;
  readonly limits: RequestLimits;
  readonly proxyWarning: ProxyWarning;
  readonly topics: TopicList<EventSocket>;
  readonly backpressureBytes: number;
  readonly bodyBytes: number;
  readonly unfinishedBodyBytes: number;
}

export function clientRoutes(parts: ClientRoutesParts): Route[] {
  const { context, authenticator } = parts;
  const { mustAuthenticate, metrics, facts, log } = context;
  const { revocations } = parts.node;
  const access = new ClientAccess({ authenticator, mustAuthenticate, revocations, log });
  const cors = new Cors(parts.allowedOrigins);
  const accounts = new ClientAccounts(context.clock);
  const bodies = new ClientBodies({
    ...parts,
    bodies: new UnfinishedBodies(parts.unfinishedBodyBytes),
    turns: new RequestTurns(context.turns),
  });
  const maxRooms = facts.limits.rooms;
  const streams = new StreamRoutes({
    ...parts,
    ...{ access, accounts, cors, metrics, maxRooms, bodies },
    streams: new EventStreams(parts),
  });
  const publishing = new PublishRoute({ ...parts, access, accounts, cors, bodies });
  const preflight: Route['handle'] = (exchange, req) => {
    parts.limits.ofAddress(exchange);
    cors.preflight(exchange, req);
  };
  return [
    route('get', '/v1/rooms/:room/events', (exchange, req) => streams.ofRoom(exchange, req)),
    route('post', '/v1/events', (exchange, req) => streams.ofRooms(exchange, req)),
    route('post', '/v1/rooms/:room/messages', (exchange, req) => publishing.publish(exchange, req)),
    route('options', '/v1/rooms/:room/events', preflight),
    route('options', '/v1/events', preflight),
    route('options', '/v1/rooms/:room/messages', preflight),
  ];
}

function route(
  method: Route['method'],
  path: Route['path'] & Route['label'],
  handle: Route['handle'],
): Route {
  return { method, path, label: path, handle };
}
