/** What a page of another origin may do with the client routes (the Fetch standard, CORS protocol). */

import type { Exchange } from '../http/exchange.ts';
import { HttpError } from '../http/http-error.ts';
import { originMatcher } from '../origins.ts';
import type { HttpRequest } from '../uws.ts';

/** What a page may send and read besides what is always allowed. No cookies: nothing here looks at them. */
const PREFLIGHT = {
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type, Last-Event-ID',
  // How long a browser may keep this answer; none keeps it for longer than a day.
  'Access-Control-Max-Age': '7200',
};

export class Cors {
  readonly #mayCome: (origin: string) => boolean;

  /** Empty: pages of any origin. */
  constructor(allowedOrigins: readonly string[]) {
    this.#mayCome = originMatcher(allowedOrigins);
  }

  /** Refuses pages of other origins, and lets the others read every answer. Throws `HttpError`. */
  check(exchange: Exchange, req: HttpRequest): void {
    const origin = req.getHeader('origin');
    if (origin === '') return;
    if (!this.#mayCome(origin)) {
      throw new HttpError('forbidden', 'origin not allowed: add it to allowedOrigins', { Vary: 'Origin' });
    }
    exchange.always({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': 'Retry-After',
      Vary: 'Origin',
    });
  }

  /** Answers `OPTIONS`, with which a browser asks first. */
  preflight(exchange: Exchange, req: HttpRequest): void {
    this.check(exchange, req);
    exchange.send(200, 'text/plain', '', PREFLIGHT);
  }
}
