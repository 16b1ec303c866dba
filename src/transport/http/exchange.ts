import { STATUS_CODES } from 'node:http';
import type { HttpRouteLabel } from '../../metrics/labels.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import { ERROR_STATUS, type ErrorCode } from '../../protocol/codes.ts';
import { packValue } from '../../protocol/msgpack/values.ts';
import type { HttpRequest, HttpResponse } from '../uws.ts';

const MSGPACK = /^application\/(x-)?msgpack\b/i;

/** A request that cannot be served, said to its sender. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** One HTTP request and its answer. Everything wanted of the request is read here, before anything is awaited. */
export class Exchange {
  readonly route: HttpRouteLabel;
  readonly authorization: string;
  readonly sendsMsgpack: boolean;
  readonly #acceptsMsgpack: boolean;
  readonly #res: HttpResponse;
  readonly #metrics: NodeMetrics;
  readonly #startedMs = performance.now();
  #isAborted = false;

  constructor(route: HttpRouteLabel, res: HttpResponse, req: HttpRequest, metrics: NodeMetrics) {
    this.route = route;
    this.#res = res;
    this.#metrics = metrics;
    this.authorization = req.getHeader('authorization');
    this.sendsMsgpack = MSGPACK.test(req.getHeader('content-type'));
    const accept = req.getHeader('accept');
    this.#acceptsMsgpack = MSGPACK.test(accept) || (this.sendsMsgpack && (accept === '' || accept === '*/*'));
    res.onAborted(() => {
      this.#isAborted = true;
    });
  }

  /** The client left: nothing can be answered. */
  get isAborted(): boolean {
    return this.#isAborted;
  }

  /** The whole body, or null when it is larger than `limit` bytes. Never settles when the client leaves. */
  body(limit: number): Promise<Buffer | null> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let size = 0;
      this.#res.onData((chunk, isLast) => {
        size += chunk.byteLength;
        // The chunk's memory is the parser's again when this returns.
        if (size <= limit) chunks.push(Buffer.from(new Uint8Array(chunk)));
        else chunks.length = 0;
        if (isLast) resolve(size > limit ? null : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
      });
    });
  }

  /** Answers with a value, as MessagePack where that was asked for, else as JSON. */
  reply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    if (this.#acceptsMsgpack) this.send(status, 'application/msgpack', packValue(value), headers);
    else this.send(status, 'application/json', JSON.stringify(value), headers);
  }

  fail(code: ErrorCode, message: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#metrics.errors[code]++;
    this.reply(ERROR_STATUS[code], { error: { code, message } }, headers);
  }

  send(
    status: number,
    contentType: string,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    if (this.#isAborted) return;
    this.#metrics.http.count(this.route, status, (performance.now() - this.#startedMs) / 1000);
    this.#res.cork(() => {
      this.#res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
      this.#res.writeHeader('Content-Type', contentType);
      for (const [name, value] of Object.entries(headers)) this.#res.writeHeader(name, value);
      this.#res.end(body);
    });
  }
}
