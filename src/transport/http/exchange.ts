import { STATUS_CODES } from 'node:http';
import type { ServerKey } from '../../auth/server-key.ts';
import type { HttpRouteLabel, LimitLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import { type EncodedFrames, jsonCodec, msgpackCodec, type ServerCodec } from '../../protocol/codec.ts';
import { ERROR_STATUS, type ErrorCode } from '../../protocol/codes.ts';
import type { ErrorDetails } from '../../protocol/frames.ts';
import { toJsonText } from '../../protocol/json/text.ts';
import { SERVER_LEVELS } from '../../protocol/msgpack/codec.ts';
import { packed, writeValue } from '../../protocol/msgpack/values.ts';
import { systemClock } from '../../util/clock.ts';
import { systemScheduler } from '../../util/scheduler.ts';
import { type ClientAddresses, forwardedFor, peerAddress, proxiedAddress } from '../client-address.ts';
import type { Peer, PeerSockets } from '../peer-sockets.ts';
import type { HttpRequest, HttpResponse } from '../uws.ts';
import type { AnswerTurns } from './answer-turns.ts';
import { ArrivingBody } from './arriving-body.ts';
import type { BodySource, BodyTurns } from './body-turns.ts';
import { acceptedMsgpack, type BodyFormatResult, bodyFormat, typeName } from './media-types.ts';
import { retryAfter } from './retry-after.ts';
import type { Headers } from './security-headers.ts';
import type { UnfinishedBodies } from './unfinished-bodies.ts';

/** How long the rest of a body that is not kept is awaited before it is answered. */
const NO_ROOM_MS = 1000;

/** What a chunk takes of a turn, as bytes of a large one. */
const CHUNK_COST = 1024;

export interface ExchangeParts {
  readonly route: HttpRouteLabel;
  readonly res: HttpResponse;
  readonly req: HttpRequest;
  readonly metrics: NodeMetrics;
  readonly addresses: ClientAddresses;
  readonly sockets: PeerSockets;
  readonly bodyTurns: BodyTurns;
  readonly answerTurns: AnswerTurns;
  /** Sent with every answer, unless it has its own. */
  readonly answerHeaders: Headers;
  /** The answer has no body. */
  readonly isHead: boolean;
}

/**
 * One HTTP request and its answer. Reads everything it needs from the request here, before anything is
 * awaited.
 */
export class Exchange {
  readonly route: HttpRouteLabel;
  readonly authorization: string;
  /** The key of the HTTP API that it presented; null where there is none, or none is needed. */
  key: ServerKey | null = null;
  /** How the body is encoded, or why it cannot be read. */
  readonly bodyFormat: BodyFormatResult;
  /** The MessagePack media type of the answer, null for JSON. */
  readonly #msgpackName: string | null;
  readonly #isHead: boolean;
  readonly #addresses: ClientAddresses;
  readonly #sockets: PeerSockets;
  readonly #peer: Peer;
  readonly #peerAddress: string;
  readonly #forwardedFor: string;
  readonly #proxied: string;
  /** Of its body; null: it comes in chunks, or there is none. */
  readonly #contentLength: number | null;
  readonly #res: HttpResponse;
  readonly #metrics: NodeMetrics;
  readonly #startedMs = systemClock.nowMs();
  #isAborted = false;
  #hasHead = false;
  #left: (() => void) | null = null;
  /** Called when the body is whole, when an answer is sent, and when the client left. */
  #endBody: ((isGone: boolean) => void) | null = null;
  /** The answer would come before the end of the body. */
  #isBodyOpen = false;
  readonly #bodyTurns: BodyTurns;
  readonly #answerTurns: AnswerTurns;
  readonly #turn: number;
  readonly #answerHeaders: Headers;
  /** Sent with every answer, errors too. */
  #alwaysHeaders: Readonly<Record<string, string>> = {};

  constructor(parts: ExchangeParts) {
    const { route, res, req, metrics, addresses, sockets, answerHeaders, isHead } = parts;
    this.route = route;
    this.#bodyTurns = parts.bodyTurns;
    this.#answerTurns = parts.answerTurns;
    this.#turn = parts.answerTurns.began();
    this.#answerHeaders = answerHeaders;
    this.#res = res;
    this.#metrics = metrics;
    this.#isHead = isHead;
    this.#addresses = addresses;
    this.#sockets = sockets;
    this.#peerAddress = peerAddress(res);
    this.#peer = sockets.begun(this.#peerAddress);
    this.#forwardedFor = addresses.isProxied ? forwardedFor(req) : '';
    this.#proxied = proxiedAddress(res, addresses);
    this.authorization = req.getHeader('authorization');
    this.#contentLength = contentLength(req);
    const contentType = req.getHeader('content-type');
    this.bodyFormat = bodyFormat(contentType, req.getHeader('content-encoding'), this.authorization !== '');
    this.#msgpackName = msgpackName(req.getHeader('accept'), contentType, this.bodyFormat);
    res.onAborted(() => {
      this.#isAborted = true;
      sockets.left(this.#peer);
      if (!this.#hasHead) metrics.http.aborted++;
      this.#endBody?.(true);
      this.#left?.();
    });
  }

  /** The answer has no body. */
  get isHead(): boolean {
    return this.#isHead;
  }

  /** Adds headers to whatever is answered. */
  always(headers: Readonly<Record<string, string>>): void {
    this.#alwaysHeaders = headers;
  }

  /**
   * The response, for an answer that goes on: see `writeHead`. `left` is called when the client leaves. Until the
   * head is written, the exchange may still be answered in the usual ways.
   */
  takeOver(left: () => void): HttpResponse {
    this.#left = left;
    return this.#res;
  }

  /** The end of such an answer was written, which ends its socket too. */
  ended(): void {
    this.#sockets.left(this.#peer);
  }

  /** Writes the head of such an answer, within its `cork`. */
  writeHead(status: number, contentType: string, headers: Readonly<Record<string, string>>): void {
    this.#hasHead = true;
    this.#metrics.http.count(this.route, status, (systemClock.nowMs() - this.#startedMs) / 1000);
    this.#res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
    this.#res.writeHeader('Content-Type', contentType);
    const all = { ...this.#answerHeaders, ...this.#alwaysHeaders, ...headers };
    for (const [name, value] of Object.entries(all)) this.#res.writeHeader(name, value);
  }

  /** The client left: nothing can be answered. */
  get isAborted(): boolean {
    return this.#isAborted;
  }

  /** The address that connected; empty when it left. */
  get peerAddress(): string {
    return this.#isAborted ? '' : this.#peerAddress;
  }

  /** The address of the client, as far as proxies in between are trusted; empty when it left. */
  get clientAddress(): string {
    return this.#isAborted ? '' : this.#addresses.of(this.#peerAddress, this.#forwardedFor, this.#proxied);
  }

  /** What the limits of addresses count the client by; null: they do not apply, or it left. */
  get addressKey(): string | null {
    return this.#addresses.keyOf(this.clientAddress, this.#forwardedFor, this.#proxied);
  }

  /**
   * The whole body; `too large` if it has more than `limit` bytes, `no room` if it is one too many of `bodies`, or of this turn:
   * once the rest has come too, or after `NO_ROOM_MS`, since what comes after an answer cannot be paused. Never settles if the
   * client leaves.
   */
  body(limit: number, bodies: UnfinishedBodies | null): Promise<Buffer | 'too large' | 'no room'> {
    return new Promise((resolve) => {
      const kept = new ArrivingBody(limit, bodies, this.#contentLength);
      const turns = this.#bodyTurns;
      const source: BodySource = { pause: () => this.#res.pause(), resume: () => this.#res.resume() };
      let hasRoom = true;
      let isAwaited = true;
      const end = (isGone: boolean) => {
        isAwaited = false;
        turns.end(source, isGone);
        kept.drop();
      };
      this.#endBody = end;
      this.#isBodyOpen = true;
      this.#res.onData((chunk, isLast) => {
        const mayKeep = bodies === null || kept.isDropped || turns.keeps(chunk.byteLength);
        // The parser reuses the chunk's memory after this returns.
        if (!kept.add(chunk, isLast, mayKeep)) {
          hasRoom = false;
          systemScheduler.after(NO_ROOM_MS, () => resolve('no room'));
        }
        if (!isLast) {
          if (!isAwaited) return;
          if (kept.isFlood) this.#cut('limits.bodyBytes');
          else turns.arrived(source, Math.max(chunk.byteLength, CHUNK_COST));
          return;
        }
        this.#isBodyOpen = false;
        resolve(hasRoom ? kept.whole() : 'no room');
        end(false);
      });
    });
  }

  /** Closes the socket without an answer, which counts as aborted. */
  #cut(limit: LimitLabel): void {
    this.#metrics.limits[limit]++;
    this.#res.close();
  }

  /** Answers with a value, as MessagePack if the client asked for it, else as JSON. */
  reply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    if (this.#msgpackName !== null) this.send(status, this.#msgpackName, packReply(value), headers);
    else this.send(status, 'application/json', toJsonText(value), headers);
  }

  /** Answers with what a codec already encoded. Lets errors of `encode` through to the caller. */
  replyEncoded(status: number, encode: (codec: ServerCodec) => EncodedFrames): void {
    const codec = this.#msgpackName === null ? jsonCodec : msgpackCodec;
    this.send(status, this.#msgpackName ?? 'application/json', encode(codec));
  }

  /** `details`: how long to wait comes as `Retry-After` too. */
  fail(
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
    details?: ErrorDetails,
  ): void {
    if (this.#isAborted) return;
    const { errors, limits } = this.#metrics;
    errors[code]++;
    if (details?.limit !== undefined) limits[details.limit as LimitLabel]++;
    const all = { ...retryAfter(details?.retryAfterMs), ...headers };
    this.reply(ERROR_STATUS[code], { error: { code, message, ...details } }, all);
  }

  send(
    status: number,
    contentType: string,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    if (!this.#addresses.usesProxyProtocol) {
      return this.#answerTurns.answer(this.#turn, () =>
        this.#answer(status, contentType, body, headers, this.#isBodyOpen),
      );
    }
    // See `proxiedAddress`.
    systemScheduler.atEndOfTurn(() => this.#answer(status, contentType, body, headers, true));
  }

  #answer(
    status: number,
    contentType: string,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>>,
    isLast: boolean,
  ): void {
    if (this.#isAborted) return;
    if (isLast) this.#sockets.left(this.#peer);
    else this.#sockets.answered(this.#peer);
    this.#endBody?.(false);
    this.#res.cork(() => {
      this.writeHead(status, contentType, headers);
      if (this.#isHead) this.#endHead(body, isLast);
      else this.#res.end(body, isLast);
    });
  }

  /**
   * Sends the length that a GET would have. Not with `endWithoutBody(length)`: that keeps waiting for the body. And with
   * no argument at all: uWebSockets.js takes `undefined` for a length.
   */
  #endHead(body: string | Uint8Array, isLast: boolean): void {
    this.#res.writeHeader('Content-Length', String(Buffer.byteLength(body)));
    if (isLast) this.#res.writeHeader('Connection', 'close');
    this.#res.endWithoutBody();
  }
}

function contentLength(req: HttpRequest): number | null {
  const header = req.getHeader('content-length');
  return /^\d{1,15}$/.test(header) ? Number(header) : null;
}

/**
 * Nests as deep as any frame from a node: a page of history wraps payloads, at their own maximum depth, in
 * three levels.
 */
function packReply(value: unknown): Uint8Array {
  return packed((writer) => writeValue(writer, value, SERVER_LEVELS));
}

/** A client that sends MessagePack and states no preference is answered in it. */
function msgpackName(accept: string, contentType: string, body: BodyFormatResult): string | null {
  if (accept !== '' && accept !== '*/*') return acceptedMsgpack(accept);
  return 'format' in body && body.format === 'msgpack' ? typeName(contentType) : null;
}
