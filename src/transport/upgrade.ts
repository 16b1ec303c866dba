import { STATUS_CODES } from 'node:http';
import type { Authenticator, Identity } from '../auth/identity.ts';
import { type AuthRefusal, refusalOf } from '../auth/refusal.ts';
import type { LimitLabel } from '../metrics/labels.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { ERROR_STATUS, type ErrorCode } from '../protocol/codes.ts';
import type { ErrorDetails } from '../protocol/frames.ts';
import { chooseSubprotocol } from '../protocol/subprotocol.ts';
import type { Logger } from '../util/log.ts';
import { systemScheduler } from '../util/scheduler.ts';
import type { Admission, Refusal } from './admission.ts';
import { bearerOf } from './bearer.ts';
import {
  addressOf,
  type ClientAddresses,
  forwardedFor,
  peerAddress,
  proxiedAddress,
} from './client-address.ts';
import { type Handshake, handshakeProblem, readHandshake } from './handshake.ts';
import { retryAfter } from './http/retry-after.ts';
import { ANSWER_HEADERS } from './http/security-headers.ts';
import { originMatcher } from './origins.ts';
import type { PeerSockets } from './peer-sockets.ts';
import type { ProxyWarning } from './proxy-warning.ts';
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
  readonly proxyWarning: ProxyWarning;
  readonly sockets: PeerSockets;
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
  readonly addressKey: string | null;
  readonly authenticator: Authenticator;
}
const ORIGIN_REFUSED = 'origin not allowed: add it to allowedOrigins';
const SUBPROTOCOL_REFUSED = 'offer the subprotocol roomcast.v1.msgpack or roomcast.v1.json, or none';

type UpgradeHandler = (res: HttpResponse, req: HttpRequest, context: us_socket_context_t) => void;

/** Decides on WebSocket upgrades: the handshake, origin, capacity, subprotocol, token. */
export function upgradeHandler(options: UpgradeOptions): UpgradeHandler {
  const mayCome = originMatcher(options.allowedOrigins);
  const { upgradesRejected } = options.metrics.connections;
  return (res, req, context) => {
    const request = readRequest(req, options.addresses);
    const peer = peerAddress(res);
    const by = options.sockets.begun(peer);
    const { handshake, token } = request;
    const isRefused = (refusal: Refusal | null, respond: Respond) => {
      if (refusal !== null) refuse(res, refusal, options.metrics, respond);
      return refusal !== null;
    };
    const left = () => options.sockets.left(by);
    // An answer ends the socket.
    const lastly =
      (say: Respond): Respond =>
      (...answer) => {
        left();
        say(...answer);
      };
    // Not at once: a client that sends thousands in one packet is closed at its second, which comes before the answer.
    const atOnce = lastly(respondLater);
    const afterwards = lastly(respond);
    if (refuseHandshake(res, handshake, options.metrics, atOnce)) return;
    options.proxyWarning.look(req, () => peer);
    const proxied = proxiedAddress(res, options.addresses);
    const client = options.addresses.of(peer, request.forwardedFor, proxied);
    const addressKey = options.addresses.keyOf(client, request.forwardedFor, proxied);
    const hasNoToken = options.mustAuthenticate && token === null;
    if (isRefused(options.admission.admit({ addressKey, hasNoToken }), atOnce)) return;
    if (request.origin !== '' && !mayCome(request.origin)) {
      upgradesRejected.origin++;
      return refuse(res, { code: 'forbidden', message: ORIGIN_REFUSED }, options.metrics, atOnce);
    }
    const chosen = chooseSubprotocol(handshake.protocol);
    if (!chosen) {
      upgradesRejected.subprotocol++;
      return refuse(res, { code: 'bad_request', message: SUBPROTOCOL_REFUSED }, options.metrics, atOnce);
    }
    // Null: the socket's own address, which it can be asked for.
    const forwarded = client === (addressOf(peer) ?? peer) ? null : client;
    const accept = (identity: Identity | null, refusal: AuthRefusal | null) => {
      const isBinary = chosen.encoding === 'msgpack';
      const place = options.admission.entered(addressKey);
      const payer = options.admission.payer(addressKey);
      const socket = new WsSocket(isBinary, identity, forwarded, refusal, place, payer, by);
      // In an object of its own: uWebSockets.js copies the properties of its argument, but no methods.
      const { key } = handshake;
      res.upgrade<SocketData>({ socket }, key, chosen.subprotocol ?? '', request.extensions, context);
    };
    if (options.authenticator === null || token === null) return accept(null, null);
    const presented = { token, addressKey, authenticator: options.authenticator };
    authenticate(res, presented, options, left, (identity, refusal) => {
      // What was not even checked gets the cheapest answer.
      if (refusal !== null && (!request.isFromQuery || refusal.code === 'rate_limited')) {
        upgradesRejected[refusalLabel(refusal.code)]++;
        return refuse(res, answerOf(refusal), options.metrics, afterwards);
      }
      // Checked again: while the token was being checked, others arrived, or the node began to shut down. A
      // browser page never sees the status of an upgrade. A token in the URL is refused on the open
      // WebSocket, whose close code says whether to come back.
      const newcomer = { addressKey, hasNoToken: false };
      if (isRefused(options.admission.refusal(newcomer, identity?.user ?? null), afterwards)) return;
      options.runCorked(() => accept(identity, refusal));
    });
  };
}

/** Answers a broken handshake. Returns whether it did. */
function refuseHandshake(
  res: HttpResponse,
  handshake: Handshake,
  { connections }: NodeMetrics,
  respond: Respond,
): boolean {
  const problem = handshakeProblem(handshake);
  if (problem === null) return false;
  connections.upgradesRejected.handshake++;
  const answer: Answer = { code: 'bad_request', message: problem.message };
  respond(res, problem.status, answer, problem.headers);
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
  { token, addressKey, authenticator }: PresentedToken,
  { metrics, log }: UpgradeOptions,
  left: () => void,
  answer: (identity: Identity | null, refusal: AuthRefusal | null) => void,
): void {
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
    left();
    metrics.connections.upgradesRejected.aborted++;
  });
  authenticator.authenticate(token, addressKey).then(
    (identity) => {
      if (!isAborted) answer(identity, null);
    },
    (error: unknown) => {
      if (!isAborted) answer(null, refusalOf(error, log));
    },
  );
}

interface Answer {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

function answerOf({ code, message, details }: AuthRefusal): Answer {
  return { code, message, ...(details && { details }) };
}

function refuse(res: HttpResponse, answer: Answer, { limits }: NodeMetrics, respond: Respond): void {
  const { code, details } = answer;
  if (details?.limit !== undefined) limits[details.limit as LimitLabel]++;
  respond(res, ERROR_STATUS[code], answer, retryAfter(details?.retryAfterMs));
}

type Respond = (
  res: HttpResponse,
  status: number,
  answer: Answer,
  headers: Readonly<Record<string, string>>,
) => void;

/** See `proxiedAddress`. */
function respondLater(...[res, ...answer]: Parameters<Respond>): void {
  let isAborted = false;
  res.onAborted(() => {
    isAborted = true;
  });
  systemScheduler.atEndOfTurn(() => {
    if (!isAborted) respond(res, ...answer);
  });
}

function respond(
  res: HttpResponse,
  status: number,
  { code, message, details }: Answer,
  headers: Readonly<Record<string, string>>,
): void {
  res.cork(() => {
    res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    res.writeHeader('Content-Type', 'application/json');
    const all = { ...ANSWER_HEADERS, ...headers };
    for (const [name, value] of Object.entries(all)) res.writeHeader(name, value);
    res.end(JSON.stringify({ error: { code, message, ...details } }), true);
  });
}
