import { STATUS_CODES } from 'node:http';
import type { Authenticator, Identity } from '../auth/identity.ts';
import { type AuthRefusal, refusalOf } from '../auth/refusal.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { ERROR_STATUS, type ErrorCode } from '../protocol/codes.ts';
import { chooseSubprotocol } from '../protocol/subprotocol.ts';
import type { Logger } from '../util/log.ts';
import type { Admission, Refusal } from './admission.ts';
import { bearerOf } from './bearer.ts';
import { type ClientAddresses, forwardedFor, peerAddress } from './client-address.ts';
import { type Handshake, handshakeProblem, readHandshake } from './handshake.ts';
import { originMatcher } from './origins.ts';
import { refusalLabel } from './refusal-label.ts';
import type { HttpRequest, HttpResponse, us_socket_context_t } from './uws.ts';
import { type SocketData, WsSocket } from './ws-socket.ts';

export interface UpgradeOptions {
  readonly authenticator: Authenticator | null;
  /** Whether a connection without a token must present one. */
  readonly mustAuthenticate: boolean;
  /** Empty: any. */
  readonly allowedOrigins: readonly string[];
  readonly addresses: ClientAddresses;
  readonly admission: Admission;
  /** Runs what upgrades a request that had to wait; see `HeldResponse`. */
  readonly runCorked: (work: () => void) => void;
  readonly metrics: NodeMetrics;
  readonly log: Logger;
}

/** All that is needed from the request, which is gone after the first `await`. */
interface UpgradeRequest {
  readonly handshake: Handshake;
  readonly extensions: string;
  readonly origin: string;
  readonly token: string | null;
  /** Whether the token came as `?token=`. */
  readonly isFromQuery: boolean;
  /** '' if no proxy is trusted. */
  readonly forwardedFor: string;
}

interface PresentedToken {
  readonly token: string;
  /** Of the client. */
  readonly address: string;
  readonly authenticator: Authenticator;
}

type UpgradeHandler = (res: HttpResponse, req: HttpRequest, context: us_socket_context_t) => void;

/** Decides on WebSocket upgrades: the handshake, origin, capacity, subprotocol, token. */
export function upgradeHandler(options: UpgradeOptions): UpgradeHandler {
  const mayCome = originMatcher(options.allowedOrigins);
  const { upgradesRejected } = options.metrics.connections;
  return (res, req, context) => {
    const request = readRequest(req, options.addresses);
    const { handshake, token } = request;
    const isRefused = (refusal: Refusal | null) => {
      if (refusal === null) return false;
      upgradesRejected[refusal.reason]++;
      refuse(res, 'unavailable', refusal.message, refusal.retryAfterS);
      return true;
    };
    if (refuseHandshake(res, handshake, options.metrics)) return;
    const hasNoToken = options.mustAuthenticate && token === null;
    if (isRefused(options.admission.admit(hasNoToken))) return;
    if (request.origin !== '' && !mayCome(request.origin)) {
      upgradesRejected.origin++;
      return refuse(res, 'forbidden', 'origin not allowed: add it to allowedOrigins');
    }
    const chosen = chooseSubprotocol(handshake.protocol);
    if (!chosen) {
      upgradesRejected.subprotocol++;
      return refuse(
        res,
        'bad_request',
        'offer the subprotocol roomcast.v1.msgpack or roomcast.v1.json, or none',
      );
    }
    // Null: the socket's own address, which is read only when needed.
    const clientAddress = () =>
      request.forwardedFor === '' ? null : options.addresses.of(peerAddress(res), request.forwardedFor);
    const accept = (identity: Identity | null, refusal: AuthRefusal | null) => {
      const isBinary = chosen.encoding === 'msgpack';
      const socket = new WsSocket(isBinary, identity, clientAddress(), refusal);
      // In an object of its own: uWebSockets.js copies the properties of its argument, but no methods.
      const { key } = handshake;
      res.upgrade<SocketData>({ socket }, key, chosen.subprotocol ?? '', request.extensions, context);
    };
    if (options.authenticator === null || token === null) return accept(null, null);
    const address = options.addresses.of(peerAddress(res), request.forwardedFor);
    authenticate(
      res,
      { token, address, authenticator: options.authenticator },
      options,
      (identity, refusal) => {
        // What was not even checked gets the cheapest answer.
        if (refusal !== null && (!request.isFromQuery || refusal.code === 'rate_limited')) {
          const { code, message, retryAfterMs } = refusal;
          upgradesRejected[refusalLabel(code)]++;
          return refuse(
            res,
            code,
            message,
            retryAfterMs === null ? undefined : Math.ceil(retryAfterMs / 1000),
          );
        }
        // Checked again: while the token was being checked, others arrived, or the node began to shut down. A
        // browser page never sees the status of an upgrade. A token in the URL is refused on the open
        // WebSocket, whose close code says whether to come back.
        if (!isRefused(options.admission.refusal(false))) options.runCorked(() => accept(identity, refusal));
      },
    );
  };
}

/** Answers a broken handshake. Returns whether it did. */
function refuseHandshake(res: HttpResponse, handshake: Handshake, { connections }: NodeMetrics): boolean {
  const problem = handshakeProblem(handshake);
  if (problem === null) return false;
  connections.upgradesRejected.handshake++;
  respond(res, problem.status, 'bad_request', problem.message, problem.headers);
  return true;
}

function readRequest(req: HttpRequest, { isProxied }: ClientAddresses): UpgradeRequest {
  const bearer = bearerOf(req.getHeader('authorization'));
  return {
    handshake: readHandshake(req),
    extensions: req.getHeader('sec-websocket-extensions'),
    origin: req.getHeader('origin'),
    token: bearer ?? (req.getQuery('token') || null),
    isFromQuery: bearer === null,
    forwardedFor: isProxied ? forwardedFor(req) : '',
  };
}

/** `answer` is called with an identity or with a refusal, unless the client leaves first. */
function authenticate(
  res: HttpResponse,
  { token, address, authenticator }: PresentedToken,
  { metrics, log }: UpgradeOptions,
  answer: (identity: Identity | null, refusal: AuthRefusal | null) => void,
): void {
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
    metrics.connections.upgradesRejected.aborted++;
  });
  authenticator.authenticate(token, address).then(
    (identity) => {
      if (!isAborted) answer(identity, null);
    },
    (error: unknown) => {
      if (!isAborted) answer(null, refusalOf(error, log));
    },
  );
}

function refuse(res: HttpResponse, code: ErrorCode, message: string, retryAfterS?: number): void {
  const headers = retryAfterS === undefined ? {} : { 'Retry-After': String(retryAfterS) };
  respond(res, ERROR_STATUS[code], code, message, headers);
}

function respond(
  res: HttpResponse,
  status: number,
  code: ErrorCode,
  message: string,
  headers: Readonly<Record<string, string>>,
): void {
  res.cork(() => {
    res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    res.writeHeader('Content-Type', 'application/json');
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
    res.end(JSON.stringify({ error: { code, message } }), true);
  });
}
