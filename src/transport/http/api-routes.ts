/** The routes of the HTTP API, each behind its guard, with the right that its key needs. */
import { AccessRefused, type ClusterAction, type RoomAction } from '../../auth/authorize.ts';
import { ROUTES } from '../../auth/permissions-table.ts';
import { authorizeKey, type ServerKey } from '../../auth/server-key.ts';
import type { ServerApi } from '../../node/server-api.ts';
import type { HttpRequest } from '../uws.ts';
import { acksRoute } from './acks-route.ts';
import type { ApiGuard } from './api-guard.ts';
import { clearRoute, decodeRoom, historyRoute } from './history-route.ts';
import { membersRoute, nodesRoute, roomsRoute } from './members-route.ts';
import { addRoute, removeRoute } from './membership-routes.ts';
import { type PublishRouteOptions, PublishRoutes } from './publish-routes.ts';
import { queryParameter } from './query.ts';
import type { RequestLimits } from './request-limits.ts';
import { endRevocationRoute, revocationsRoute, revokeRoute } from './revocations-route.ts';
import type { Handler, Method, Route } from './route.ts';
import { disconnectRoute, userRoute } from './users-route.ts';

export interface ApiRoutesOptions extends PublishRouteOptions {
  readonly apiGuard: ApiGuard;
}

export function apiRoutes(server: ServerApi, options: ApiRoutesOptions, limits: RequestLimits): Route[] {
  const routes = [
    ...clusterRoutes(server, options),
    ...roomRoutes(server),
    ...serverCallRoutes(server, options),
    ...revocationRoutes(server, options),
  ];
  return routes.map((route) => guarded(route, options.apiGuard, limits));
}

function guarded({ handle, ...route }: Route, guard: ApiGuard, limits: RequestLimits): Route {
  const action = actionOf(route);
  return {
    ...route,
    handle: (exchange, req) => {
      try {
        exchange.key = guard.check(exchange, req);
      } catch (error) {
        // Guesses are limited, and answered as what they are until then.
        limits.ofAddress(exchange);
        throw error;
      }
      limits.ofKey(exchange);
      if (exchange.key !== null) permit(exchange.key, action, route.path, req);
      return handle(exchange, req);
    },
  };
}

/** Throws `AccessRefused`. Where the room is in the body, the route itself asks once it has read that. */
function permit(key: ServerKey, action: RoomAction | ClusterAction, path: string, req: HttpRequest): void {
  if (action === 'publish') return;
  const room = path.includes('/:room') ? decodeRoom(req.getParameter(0) ?? '') : null;
  const refusal = authorizeKey(action, room, key);
  if (refusal !== null) throw new AccessRefused(refusal);
}

/** The permissions table says what a route needs, so that none is without. */
function actionOf({ method, path }: Pick<Route, 'method' | 'path'>): RoomAction | ClusterAction {
  const name = method === 'del' ? 'DELETE' : method.toUpperCase();
  const row = ROUTES.find((known) => known[0] === name && known[1] === path);
  if (row === undefined) throw new Error(`${name} ${path} is not in the table of permissions`);
  return row[2];
}

function clusterRoutes(server: ServerApi, options: PublishRouteOptions): Route[] {
  const publishing = new PublishRoutes(server, options);
  return [
    route('post', '/v1/publish', (exchange) => publishing.publish(exchange)),
    route('post', '/v1/publish/batch', (exchange) => publishing.publishBatch(exchange)),
    route('get', '/v1/nodes', (exchange) => nodesRoute(exchange, server)),
    route('post', '/v1/users/:user/disconnect', (exchange, req) =>
      disconnectRoute(exchange, server, req.getParameter(0) ?? ''),
    ),
    route('get', '/v1/rooms', (exchange, req) => roomsRoute(exchange, server, queryParameter(req, 'limit'))),
  ];
}

function roomRoutes(server: ServerApi): Route[] {
  return [
    route('get', '/v1/rooms/:room/members', (exchange, req) =>
      membersRoute(exchange, server, {
        room: req.getParameter(0) ?? '',
        limit: queryParameter(req, 'limit'),
        after: queryParameter(req, 'after'),
      }),
    ),
    route('get', '/v1/rooms/:room/history', (exchange, req) =>
      historyRoute(exchange, server, {
        room: req.getParameter(0) ?? '',
        since: queryParameter(req, 'since'),
        limit: queryParameter(req, 'limit'),
      }),
    ),
    route('get', '/v1/rooms/:room/acks', (exchange, req) =>
      acksRoute(exchange, server, {
        room: req.getParameter(0) ?? '',
        from: queryParameter(req, 'from'),
        limit: queryParameter(req, 'limit'),
      }),
    ),
  ];
}

/** What the server does to users and rooms. */
function serverCallRoutes(server: ServerApi, options: PublishRouteOptions): Route[] {
  return [
    route('get', '/v1/users/:user', (exchange, req) =>
      userRoute(exchange, server, req.getParameter(0) ?? ''),
    ),
    route('post', '/v1/rooms/:room/add', (exchange, req) =>
      addRoute(exchange, server, req.getParameter(0) ?? '', options),
    ),
    route('post', '/v1/rooms/:room/remove', (exchange, req) =>
      removeRoute(exchange, server, req.getParameter(0) ?? '', options),
    ),
    route('del', '/v1/rooms/:room/history', (exchange, req) =>
      clearRoute(exchange, server, req.getParameter(0) ?? ''),
    ),
  ];
}

/** Users and tokens that may not be here any more. */
function revocationRoutes(server: ServerApi, { bodyBytes }: PublishRouteOptions): Route[] {
  const named = (req: HttpRequest) => ({
    user: queryParameter(req, 'user'),
    jti: queryParameter(req, 'jti'),
  });
  return [
    route('post', '/v1/revocations', (exchange) => revokeRoute(exchange, server, bodyBytes)),
    route('get', '/v1/revocations', (exchange, req) =>
      revocationsRoute(exchange, server, { ...named(req), limit: queryParameter(req, 'limit') }),
    ),
    route('del', '/v1/revocations', (exchange, req) => endRevocationRoute(exchange, server, named(req))),
  ];
}

function route(method: Method, path: Route['path'] & Route['label'], handle: Handler): Route {
  return { method, path, label: path, handle };
}
