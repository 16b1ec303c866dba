/** The routes of the HTTP API, each behind its guard. */
import type { BrokerNode } from '../../node/broker-node.ts';
import type { HttpRequest } from '../uws.ts';
import { acksRoute } from './acks-route.ts';
import { type ApiGuardOptions, apiGuard } from './api-guard.ts';
import { clearRoute, historyRoute } from './history-route.ts';
import { membersRoute, nodesRoute, roomsRoute } from './members-route.ts';
import { addRoute, removeRoute } from './membership-routes.ts';
import { type PublishRouteOptions, PublishRoutes } from './publish-routes.ts';
import { queryParameter } from './query.ts';
import type { RequestLimits } from './request-limits.ts';
import { endRevocationRoute, revocationsRoute, revokeRoute } from './revocations-route.ts';
import type { Handler, Method, Route } from './route.ts';
import { disconnectRoute, userRoute } from './users-route.ts';

export function apiRoutes(
  node: BrokerNode,
  options: ApiGuardOptions & PublishRouteOptions,
  limits: RequestLimits,
): Route[] {
  const guard = apiGuard(options);
  const routes = [
    ...clusterRoutes(node, options),
    ...roomRoutes(node),
    ...serverCallRoutes(node, options),
    ...revocationRoutes(node, options),
  ];
  return routes.map(({ handle, ...route }) => ({
    ...route,
    handle: (exchange, req) => {
      try {
        guard(exchange, req);
      } catch (error) {
        // Guesses are limited, and answered as what they are until then.
        limits.ofAddress(exchange);
        throw error;
      }
      limits.ofKey(exchange);
      return handle(exchange, req);
    },
  }));
}

function clusterRoutes(node: BrokerNode, options: PublishRouteOptions): Route[] {
  const publishing = new PublishRoutes(node, options);
  return [
    route('post', '/v1/publish', (exchange) => publishing.publish(exchange)),
    route('post', '/v1/publish/batch', (exchange) => publishing.publishBatch(exchange)),
    route('get', '/v1/nodes', (exchange) => nodesRoute(exchange, node)),
    route('post', '/v1/users/:user/disconnect', (exchange, req) =>
      disconnectRoute(exchange, node, req.getParameter(0) ?? ''),
    ),
    route('get', '/v1/rooms', (exchange, req) => roomsRoute(exchange, node, queryParameter(req, 'limit'))),
  ];
}

function roomRoutes(node: BrokerNode): Route[] {
  return [
    route('get', '/v1/rooms/:room/members', (exchange, req) =>
      membersRoute(exchange, node, {
        room: req.getParameter(0) ?? '',
        limit: queryParameter(req, 'limit'),
        after: queryParameter(req, 'after'),
      }),
    ),
    route('get', '/v1/rooms/:room/history', (exchange, req) =>
      historyRoute(exchange, node, {
        room: req.getParameter(0) ?? '',
        since: queryParameter(req, 'since'),
        limit: queryParameter(req, 'limit'),
      }),
    ),
    route('get', '/v1/rooms/:room/acks', (exchange, req) =>
      acksRoute(exchange, node, {
        room: req.getParameter(0) ?? '',
        from: queryParameter(req, 'from'),
        limit: queryParameter(req, 'limit'),
      }),
    ),
  ];
}

/** What the server does to users and rooms. */
function serverCallRoutes(node: BrokerNode, options: PublishRouteOptions): Route[] {
  return [
    route('get', '/v1/users/:user', (exchange, req) => userRoute(exchange, node, req.getParameter(0) ?? '')),
    route('post', '/v1/rooms/:room/add', (exchange, req) =>
      addRoute(exchange, node, req.getParameter(0) ?? '', options),
    ),
    route('post', '/v1/rooms/:room/remove', (exchange, req) =>
      removeRoute(exchange, node, req.getParameter(0) ?? '', options),
    ),
    route('del', '/v1/rooms/:room/history', (exchange, req) =>
      clearRoute(exchange, node, req.getParameter(0) ?? ''),
    ),
  ];
}

/** Users and tokens that may not be here any more. */
function revocationRoutes(node: BrokerNode, { bodyBytes }: PublishRouteOptions): Route[] {
  const named = (req: HttpRequest) => ({
    user: queryParameter(req, 'user'),
    jti: queryParameter(req, 'jti'),
  });
  return [
    route('post', '/v1/revocations', (exchange) => revokeRoute(exchange, node, bodyBytes)),
    route('get', '/v1/revocations', (exchange, req) =>
      revocationsRoute(exchange, node, { ...named(req), limit: queryParameter(req, 'limit') }),
    ),
    route('del', '/v1/revocations', (exchange, req) => endRevocationRoute(exchange, node, named(req))),
  ];
}

function route(method: Method, path: Route['path'] & Route['label'], handle: Handler): Route {
  return { method, path, label: path, handle };
}
