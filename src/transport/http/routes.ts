import type { HttpRouteLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import { AccessRefused, BackplaneError, type BrokerNode } from '../../node/broker-node.ts';
import { FrameError } from '../../protocol/frame-error.ts';
import { systemClock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { HttpRequest, TemplatedApp } from '../uws.ts';
import { acksRoute } from './acks-route.ts';
import { apiGuard } from './api-guard.ts';
import { Exchange, HttpError } from './exchange.ts';
import { historyRoute } from './history-route.ts';
import { membersRoute, nodesRoute, roomsRoute } from './members-route.ts';
import { PublishRoutes } from './publish-routes.ts';
import { disconnectRoute } from './users-route.ts';

export interface HttpOptions {
  readonly apiKeys: readonly string[];
  readonly production: boolean;
  readonly bodyBytes: number;
  readonly maxPayloadBytes: number;
  /** The demo page, or null where it is off. */
  readonly demoPage: string | null;
  /** Path of the WebSocket endpoint, to answer those who come to it without an upgrade. */
  readonly wsPath: string;
}

export interface HttpParts {
  readonly node: BrokerNode;
  readonly metrics: NodeMetrics;
  /** Renders `/metrics`. */
  readonly scrape: () => Promise<{ contentType: string; text: string }>;
  /** Null when the node may get traffic, else why not. */
  readonly notReady: () => string | null;
  readonly log: Logger;
}

type Handler = (exchange: Exchange, req: HttpRequest) => void | Promise<void>;
type Method = 'get' | 'post';

interface Route {
  readonly method: Method;
  readonly path: string;
  readonly label: HttpRouteLabel;
  readonly handle: Handler;
}

/** Registers every HTTP route. Errors, whatever threw them, are answered with a body that says what is wrong. */
export function registerRoutes(app: TemplatedApp, options: HttpOptions, parts: HttpParts): void {
  const routes = [...openRoutes(options, parts), ...apiRoutes(options, parts)];
  for (const { method, path, label, handle } of routes) {
    app[method](path, (res, req) =>
      run(new Exchange(label, res, req, parts.metrics), req, handle, parts.log),
    );
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path);
    const allow = allowed.map((route) => route.method.toUpperCase()).join(', ');
    app.any(path, (res, req) => {
      const exchange = new Exchange(allowed[0]!.label, res, req, parts.metrics);
      exchange.fail('method_not_allowed', `use ${allow} here`, { Allow: allow });
    });
  }
  app.any('/*', (res, req) => {
    const exchange = new Exchange('other', res, req, parts.metrics);
    exchange.fail('not_found', `there is nothing at ${req.getUrl().slice(0, 100)}`);
  });
}

function openRoutes({ demoPage, wsPath }: HttpOptions, { scrape, notReady }: HttpParts): Route[] {
  const routes: Route[] = [
    {
      method: 'get',
      path: '/healthz',
      label: '/healthz',
      // The time is for those who compare the clocks of nodes.
      handle: (exchange) => exchange.reply(200, { status: 'alive', time: systemClock.wallMs() }),
    },
    {
      method: 'get',
      path: '/readyz',
      label: '/readyz',
      handle: (exchange) => {
        const reason = notReady();
        if (reason === null) exchange.reply(200, { status: 'ready' });
        else exchange.reply(503, { status: 'not ready', reason });
      },
    },
    {
      method: 'get',
      path: '/metrics',
      label: '/metrics',
      handle: async (exchange) => {
        const { contentType, text } = await scrape();
        exchange.send(200, contentType, text);
      },
    },
    {
      method: 'get',
      path: wsPath,
      label: 'other',
      handle: (exchange) =>
        exchange.send(426, 'text/plain; charset=utf-8', 'This is a WebSocket endpoint.\n', {
          Upgrade: 'websocket',
        }),
    },
  ];
  if (demoPage !== null)
    routes.push({ method: 'get', path: '/', label: 'page', handle: pageHandler(demoPage) });
  return routes;
}

function pageHandler(page: string): Handler {
  return (exchange) =>
    exchange.send(200, 'text/html; charset=utf-8', page, {
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
}

function apiRoutes(options: HttpOptions, { node }: HttpParts): Route[] {
  const guard = apiGuard(options);
  const publishing = new PublishRoutes(node, options);
  const guarded =
    (handle: Handler): Handler =>
    (exchange, req) => {
      guard(exchange);
      return handle(exchange, req);
    };
  return [
    {
      method: 'post',
      path: '/v1/publish',
      label: '/v1/publish',
      handle: guarded((exchange) => publishing.publish(exchange)),
    },
    {
      method: 'post',
      path: '/v1/publish/batch',
      label: '/v1/publish/batch',
      handle: guarded((exchange) => publishing.publishBatch(exchange)),
    },
    {
      method: 'get',
      path: '/v1/nodes',
      label: '/v1/nodes',
      handle: guarded((exchange) => nodesRoute(exchange, node)),
    },
    {
      method: 'post',
      path: '/v1/users/:user/disconnect',
      label: '/v1/users/:user/disconnect',
      handle: guarded((exchange, req) => disconnectRoute(exchange, node, req.getParameter(0) ?? '')),
    },
    {
      method: 'get',
      path: '/v1/rooms',
      label: '/v1/rooms',
      handle: guarded((exchange, req) => roomsRoute(exchange, node, req.getQuery('limit'))),
    },
    {
      method: 'get',
      path: '/v1/rooms/:room/members',
      label: '/v1/rooms/:room/members',
      handle: guarded((exchange, req) => membersRoute(exchange, node, req.getParameter(0) ?? '')),
    },
    {
      method: 'get',
      path: '/v1/rooms/:room/history',
      label: '/v1/rooms/:room/history',
      handle: guarded((exchange, req) =>
        historyRoute(exchange, node, {
          room: req.getParameter(0) ?? '',
          since: req.getQuery('since'),
          limit: req.getQuery('limit'),
        }),
      ),
    },
    {
      method: 'get',
      path: '/v1/rooms/:room/acks',
      label: '/v1/rooms/:room/acks',
      handle: guarded((exchange, req) =>
        acksRoute(exchange, node, {
          room: req.getParameter(0) ?? '',
          from: req.getQuery('from'),
          limit: req.getQuery('limit'),
        }),
      ),
    },
  ];
}

async function run(exchange: Exchange, req: HttpRequest, handle: Handler, log: Logger): Promise<void> {
  try {
    await handle(exchange, req);
  } catch (error) {
    if (error instanceof HttpError || error instanceof BackplaneError || error instanceof AccessRefused) {
      exchange.fail(error.code, error.message);
    } else if (error instanceof FrameError) {
      exchange.fail('bad_request', error.message);
    } else {
      log.error({ error, route: exchange.route }, 'an HTTP request failed');
      exchange.fail('internal', 'the node failed to handle this request');
    }
  }
}
