import type { HttpRouteLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { BrokerNode } from '../../node/broker-node.ts';
import { AccessRefused, BackplaneError, ReadRefused, TooManyDenials } from '../../node/server-api.ts';
import { systemClock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { systemScheduler } from '../../util/scheduler.ts';
import type { ClientAddresses } from '../client-address.ts';
import { handshakeProblem, isMeantAsUpgrade, readHandshake } from '../handshake.ts';
import type { PeerSockets } from '../peer-sockets.ts';
import type { HttpRequest, HttpResponse, TemplatedApp } from '../uws.ts';
import { AnswerTurns } from './answer-turns.ts';
import type { ApiGuard } from './api-guard.ts';
import { apiRoutes } from './api-routes.ts';
import type { BearerKeys } from './bearer-keys.ts';
import { BodyTurns } from './body-turns.ts';
import { clientScripts } from './client-script.ts';
import { demoPage } from './demo-page.ts';
import { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import type { RequestLimits } from './request-limits.ts';
import { retryAfter } from './retry-after.ts';
import type { Handler, Method, Route } from './route.ts';
import type { Scrapes } from './scrapes.ts';
import type { Headers } from './security-headers.ts';

export interface HttpOptions {
  readonly apiGuard: ApiGuard;
  /** Whether `/metrics` is among the routes: it may have its own address. */
  readonly servesMetrics: boolean;
  /** One of these is required at `/metrics`; none: no key is. */
  readonly metricsKeys: BearerKeys<null>;
  readonly bodyBytes: number;
  /** Of all client requests that are still arriving. */
  readonly unfinishedBodyBytes: number;
  readonly maxPayloadBytes: number;
  readonly servesDemo: boolean;
  /** Path of the WebSocket endpoint, to answer requests that reach it without an upgrade. */
  readonly wsPath: string;
}

export interface HttpParts {
  readonly node: BrokerNode;
  readonly metrics: NodeMetrics;
  readonly scrapes: Scrapes;
  readonly addresses: ClientAddresses;
  readonly sockets: PeerSockets;
  /** Sent with every answer, unless it has its own. */
  readonly answerHeaders: Headers;
  readonly limits: RequestLimits;
  /** The routes that follow client authentication. */
  readonly clientRoutes: readonly Route[];
  /** Null when the node may get traffic, else why not. */
  readonly notReady: () => string | null;
  /** What is wrong with parts of the store while the node is ready. */
  readonly degraded: () => readonly string[];
  readonly log: Logger;
}

const METHODS: Readonly<Record<Method, string>> = {
  get: 'GET, HEAD',
  post: 'POST',
  del: 'DELETE',
  options: 'OPTIONS',
};

/** Every HTTP route of a node. */
export function nodeRoutes(options: HttpOptions, parts: HttpParts): readonly Route[] {
  return [
    ...openRoutes(options, parts),
    ...(options.servesMetrics ? [metricsRoute({ ...options, ...parts })] : []),
    ...parts.clientRoutes,
    ...apiRoutes(parts.node.server, { ...options, log: parts.log }, parts.limits),
  ];
}

/** Registers routes. Every error is answered with a body that says what is wrong. */
export function registerRoutes(
  app: TemplatedApp,
  routes: readonly Route[],
  parts: Pick<HttpParts, 'metrics' | 'addresses' | 'sockets' | 'limits' | 'answerHeaders' | 'log'>,
): void {
  const { metrics, addresses, sockets, limits, answerHeaders, log } = parts;
  const shared = {
    metrics,
    addresses,
    sockets,
    answerHeaders,
    bodyTurns: new BodyTurns(systemScheduler),
    answerTurns: new AnswerTurns(systemScheduler),
  };
  const answer = (label: HttpRouteLabel, isHead: boolean, handle: Handler) => {
    return (res: HttpResponse, req: HttpRequest) =>
      run(new Exchange({ ...shared, route: label, res, req, isHead }), req, handle, log);
  };
  for (const { method, path, label, handle } of routes) {
    app[method](path, answer(label, false, handle));
    if (method === 'get') app.head(path, answer(label, true, handle));
  }
  const refused = (label: HttpRouteLabel, handle: Handler) => {
    const [usual, head] = [answer(label, false, handle), answer(label, true, handle)];
    return (res: HttpResponse, req: HttpRequest) => (req.getMethod() === 'head' ? head : usual)(res, req);
  };
  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path);
    const allow = allowed.map(({ method }) => METHODS[method]).join(', ');
    app.any(
      path,
      refused(allowed[0]!.label, (exchange) => {
        limits.ofAddress(exchange);
        throw new HttpError('method_not_allowed', `use ${allow} here`, { Allow: allow });
      }),
    );
  }
  app.any(
    '/*',
    refused('other', (exchange, req) => {
      limits.ofAddress(exchange);
      throw new HttpError('not_found', `no route at ${req.getUrl().slice(0, 100)}`);
    }),
  );
}

/** The only route of the metrics' own address. */
export function metricsRoute({
  metricsKeys,
  scrapes,
  limits,
}: Pick<HttpOptions, 'metricsKeys'> & Pick<HttpParts, 'scrapes' | 'limits'>): Route {
  return {
    method: 'get',
    path: '/metrics',
    label: '/metrics',
    handle: async (exchange) => {
      const found = metricsKeys.count > 0 ? metricsKeys.find(exchange.authorization) : null;
      if (found !== null && 'problem' in found) {
        // Guesses are limited.
        limits.ofAddress(exchange);
        throw new HttpError('unauthorized', found.problem, { 'WWW-Authenticate': 'Bearer' });
      }
      const { contentType, body } = await scrapes.read();
      exchange.send(200, contentType, body);
    },
  };
}

function openRoutes(
  { servesDemo, wsPath }: HttpOptions,
  { notReady, degraded, metrics, limits }: HttpParts,
): Route[] {
  const routes: Route[] = [
    {
      method: 'get',
      path: '/healthz',
      label: '/healthz',
      // The time is for comparing the clocks of nodes.
      handle: (exchange) => exchange.reply(200, { status: 'alive', time: systemClock.wallMs() }),
    },
    {
      method: 'get',
      path: '/readyz',
      label: '/readyz',
      handle: (exchange) => {
        const reason = notReady();
        if (reason !== null) return exchange.reply(503, { status: 'not ready', reason });
        const parts = degraded();
        exchange.reply(200, { status: 'ready', ...(parts.length === 0 ? {} : { degraded: parts }) });
      },
    },
    {
      method: 'get',
      path: wsPath,
      label: 'other',
      handle: (exchange, req) => {
        limits.ofAddress(exchange);
        refuseVisit(exchange, req, metrics);
      },
    },
  ];
  const pages = [...(servesDemo ? demoPage() : []), ...clientScripts()];
  for (const { handle, ...page } of pages) {
    routes.push({
      ...page,
      handle: (exchange, req) => {
        limits.ofAddress(exchange);
        return handle(exchange, req);
      },
    });
  }
  return routes;
}

/** A request to the WebSocket endpoint without a key of the right length: a broken handshake, or a visit. */
function refuseVisit(exchange: Exchange, req: HttpRequest, metrics: NodeMetrics): void {
  const handshake = readHandshake(req);
  const problem = isMeantAsUpgrade(handshake) ? handshakeProblem(handshake) : null;
  if (problem === null) {
    const headers = { Upgrade: 'websocket' };
    return exchange.send(426, 'text/plain; charset=utf-8', 'This is a WebSocket endpoint.\n', headers);
  }
  metrics.connections.upgradesRejected.handshake++;
  const error = { code: 'bad_request', message: problem.message };
  exchange.send(problem.status, 'application/json', JSON.stringify({ error }), problem.headers);
}

async function run(exchange: Exchange, req: HttpRequest, handle: Handler, log: Logger): Promise<void> {
  try {
    await handle(exchange, req);
  } catch (error) {
    if (error instanceof HttpError) exchange.fail(error.code, error.message, error.headers, error.details);
    else if (error instanceof BackplaneError) exchange.fail(error.code, error.message);
    else if (error instanceof AccessRefused) {
      exchange.fail(error.code, error.message, retryAfter(error.retryAfterMs));
    } else if (error instanceof TooManyDenials) exchange.fail('limit_exceeded', error.message);
    else if (error instanceof ReadRefused) {
      exchange.fail(error.code, error.message, {}, error.details);
    } else {
      log.error({ error, route: exchange.route, address: exchange.clientAddress }, 'an HTTP request failed');
      exchange.fail('internal', 'the node failed to handle this request');
    }
  }
}
