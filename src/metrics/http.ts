import { LATENCY_SECONDS } from './buckets.ts';
import { HTTP_ROUTES, type HttpRouteLabel, STATUS_CLASSES, type StatusClassLabel, zeros } from './labels.ts';
import { SampledHistogram } from './sampled-histogram.ts';
import { counter, histogramBy, SampledMetric } from './sampled-metric.ts';

/** HTTP requests other than WebSocket upgrades. */
export class HttpStats {
  readonly requests = byRoute(() => zeros(STATUS_CLASSES));
  /** Requests that could not be answered; see `roomcast_http_requests_aborted_total`. */
  aborted = 0;
  /** Sockets of any kind. */
  socketsOpened = 0;
  socketsRefused = 0;
  /** Seconds. */
  readonly duration = byRoute(() => new SampledHistogram(LATENCY_SECONDS));

  /** Counts one answered request. */
  count(route: HttpRouteLabel, status: number, seconds: number): void {
    this.requests[route][statusClass(status)]++;
    this.duration[route].observe(seconds);
  }
}

export function httpMetrics(stats: HttpStats): SampledMetric[] {
  const requests = new SampledMetric({
    type: 'counter',
    name: 'roomcast_http_requests_total',
    help: 'HTTP requests answered, by route template. Excludes WebSocket upgrades, and requests whose client left before the answer: see roomcast_http_requests_aborted_total.',
    labelNames: ['route', 'status'],
    read: () =>
      HTTP_ROUTES.flatMap((route) =>
        STATUS_CLASSES.map((status) => ({ labels: { route, status }, value: stats.requests[route][status] })),
      ),
  });
  const duration = histogramBy(
    'route',
    'roomcast_http_request_duration_seconds',
    'Time from the request line to handing the answer, of an event stream its head, to the socket. Counts the same requests as roomcast_http_requests_total.',
    stats.duration,
  );
  return [requests, duration, ...unansweredMetrics(stats)];
}

function unansweredMetrics(stats: HttpStats): SampledMetric[] {
  return [
    counter(
      'roomcast_http_requests_aborted_total',
      'HTTP requests that were not answered: their client left, sent its next request before the answer, or did not finish the body in time.',
      () => stats.aborted,
    ),
    counter(
      'roomcast_sockets_opened_total',
      'TCP connections accepted, for WebSockets and HTTP. A connection whose first bytes are no HTTP request that uWebSockets.js accepts is answered by it (400, 431 or 505) and counts here only.',
      () => stats.socketsOpened,
    ),
    counter(
      'roomcast_sockets_refused_total',
      'TCP connections closed as soon as they were accepted, because the node held as many sockets as the limit on open files allows. Those beyond a limit of their address count in roomcast_limited_total.',
      () => stats.socketsRefused,
    ),
  ];
}

function statusClass(status: number): StatusClassLabel {
  if (status >= 500) return '5xx';
  if (status >= 400) return '4xx';
  return status >= 300 ? '3xx' : '2xx';
}

function byRoute<T>(make: () => T): Record<HttpRouteLabel, T> {
  return Object.fromEntries(HTTP_ROUTES.map((route) => [route, make()])) as Record<HttpRouteLabel, T>;
}
