import { STATUS_CODES } from 'node:http';
import { type Authenticator, AuthFailure, type Identity } from '../auth/identity.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { ERROR_STATUS, type ErrorCode } from '../protocol/codes.ts';
import { chooseSubprotocol } from '../protocol/subprotocol.ts';
import type { Logger } from '../util/log.ts';
import type { Admission, Refusal } from './admission.ts';
import { originMatcher } from './origins.ts';
import type { HttpRequest, HttpResponse, us_socket_context_t } from './uws.ts';
import { type SocketData, WsSocket } from './ws-socket.ts';

export interface UpgradeOptions {
  readonly authenticator: Authenticator | null;
  /** Empty: any. */
  readonly allowedOrigins: readonly string[];
  readonly trustProxy: boolean;
  readonly admission: Admission;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/** All that is wanted of the request, which is gone after the first `await`. */
interface UpgradeRequest {
  readonly key: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly origin: string;
  readonly token: string | null;
  readonly forwardedFor: string | null;
}

type UpgradeHandler = (res: HttpResponse, req: HttpRequest, context: us_socket_context_t) => void;

/** Decides about WebSocket upgrades: origin, room for one more, subprotocol, token. */
export function upgradeHandler(options: UpgradeOptions): UpgradeHandler {
  const mayCome = originMatcher(options.allowedOrigins);
  const { upgradesRejected } = options.metrics.connections;
  return (res, req, context) => {
    const request = readRequest(req, options.trustProxy);
    const chosen = chooseSubprotocol(request.protocol);
    const isRefused = (refusal: Refusal | null) => {
      if (refusal === null) return false;
      upgradesRejected[refusal.reason]++;
      refuse(res, 'unavailable', refusal.message, refusal.retryAfterS);
      return true;
    };
    if (isRefused(options.admission.admit())) return;
    if (request.origin !== '' && !mayCome(request.origin)) {
      upgradesRejected.origin++;
      return refuse(res, 'forbidden', 'this origin is not allowed: see allowedOrigins');
    }
    if (!chosen) {
      upgradesRejected.subprotocol++;
      return refuse(
        res,
        'bad_request',
        'offer the subprotocol roomcast.v1.msgpack or roomcast.v1.json, or none',
      );
    }
    const accept = (identity: Identity | null) => {
      const socket = new WsSocket(chosen.encoding === 'msgpack', identity, request.forwardedFor);
      // In an object of its own: uWebSockets.js copies the properties of what it is given, and no methods.
      res.upgrade<SocketData>({ socket }, request.key, chosen.subprotocol ?? '', request.extensions, context);
    };
    if (options.authenticator === null || request.token === null) return accept(null);
    authenticate(res, options.authenticator, request.token, options, (identity) => {
      // Asked anew: while the token was being checked, others came, or the node began to shut down.
      if (!isRefused(options.admission.refusal())) accept(identity);
    });
  };
}

function readRequest(req: HttpRequest, trustProxy: boolean): UpgradeRequest {
  const authorization = req.getHeader('authorization');
  const bearer = /^bearer (.+)$/i.exec(authorization)?.[1];
  return {
    key: req.getHeader('sec-websocket-key'),
    protocol: req.getHeader('sec-websocket-protocol'),
    extensions: req.getHeader('sec-websocket-extensions'),
    origin: req.getHeader('origin'),
    token: bearer ?? (req.getQuery('token') || null),
    forwardedFor: trustProxy ? req.getHeader('x-forwarded-for').split(',')[0]!.trim() || null : null,
  };
}

function authenticate(
  res: HttpResponse,
  authenticator: Authenticator,
  token: string,
  { metrics, log }: UpgradeOptions,
  accept: (identity: Identity) => void,
): void {
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
    metrics.connections.upgradesRejected.aborted++;
  });
  authenticator.authenticate(token).then(
    (identity) => {
      // Not corked, against the documentation: after an upgrade inside of `cork` uWebSockets.js at times takes the new
      // WebSocket for the old response, and closes it (1006): 16 of the first five connections to each of 100 fresh nodes, and
      // none without it.
      if (!isAborted) accept(identity);
    },
    (error: unknown) => {
      if (isAborted) return;
      metrics.connections.upgradesRejected.unauthorized++;
      if (!(error instanceof AuthFailure)) log.error({ error }, 'a token could not be checked');
      const code = error instanceof AuthFailure ? error.code : 'internal';
      const message = error instanceof AuthFailure ? error.message : 'the token could not be checked';
      refuse(res, code, message);
    },
  );
}

function refuse(res: HttpResponse, code: ErrorCode, message: string, retryAfterS?: number): void {
  const status = ERROR_STATUS[code];
  res.cork(() => {
    res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    res.writeHeader('Content-Type', 'application/json');
    if (retryAfterS !== undefined) res.writeHeader('Retry-After', String(retryAfterS));
    res.end(JSON.stringify({ error: { code, message } }), true);
  });
}
