import { authorizeKey, type ServerKey } from '../../auth/server-key.ts';
import { overLimit } from '../../connection/over-limit.ts';
import type { ServerMessage } from '../../node/publishing.ts';
import { AccessRefused, BackplaneError, type ServerApi } from '../../node/server-api.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import { kindProblem } from '../../protocol/commands.ts';
import type { PublishResult } from '../../protocol/frames.ts';
import { keyProblem, roomNameProblem } from '../../protocol/limits.ts';
import type { Logger } from '../../util/log.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { type Incoming, readMessage, readMessages } from './incoming-messages.ts';
import { readBody } from './request-body.ts';

/** Maximum messages in one batch request. */
const MAX_BATCH = 1000;

export interface PublishRouteOptions {
  readonly bodyBytes: number;
  /** Maximum bytes of one message's data, as for clients. */
  readonly maxPayloadBytes: number;
  readonly log: Logger;
}

/** `POST /v1/publish` and `POST /v1/publish/batch`: messages of the server API, without a sender. */
export class PublishRoutes {
  readonly #server: ServerApi;
  readonly #options: PublishRouteOptions;

  constructor(server: ServerApi, options: PublishRouteOptions) {
    this.#server = server;
    this.#options = options;
  }

  async publish(exchange: Exchange): Promise<void> {
    const { body, format } = await readBody(exchange, this.#options.bodyBytes);
    exchange.reply(200, await this.#publish(readMessage(body, format), 'the body', exchange.key));
  }

  /**
   * Answers one result per message, in order. A failed message has its error in place and does not fail the
   * others.
   */
  async publishBatch(exchange: Exchange): Promise<void> {
    const { body, format } = await readBody(exchange, this.#options.bodyBytes);
    const messages = readMessages(body, format);
    if ('problem' in messages) throw new HttpError('bad_request', `the body${messages.problem}`);
    if (messages.length > MAX_BATCH) {
      throw new HttpError(
        'limit_exceeded',
        `a batch may have at most ${MAX_BATCH} messages, got ${messages.length}`,
      );
    }
    const results = await Promise.all(
      messages.map((message, index) =>
        this.#publish(message, `messages[${index}]`, exchange.key).catch((error: unknown) =>
          this.#errorBody(error),
        ),
      ),
    );
    exchange.reply(200, { results });
  }

  /**
   * Checks and hands on the message before it returns, so that messages keep their order. Rejects with
   * `HttpError`, `AccessRefused` or `BackplaneError`. `key`: of the request, if it needs one.
   */
  #publish(incoming: Incoming, where: string, key: ServerKey | null): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      const message = checkedMessage(incoming, where, this.#options.maxPayloadBytes);
      const refusal = key === null ? null : authorizeKey('publish', message.room, key);
      if (refusal !== null) throw new AccessRefused(refusal);
      this.#server.publish(message, {
        published: (epoch, offset, duplicate) =>
          resolve(duplicate ? { epoch, offset, duplicate } : { epoch, offset }),
        failed: reject,
      });
    });
  }

  #errorBody(error: unknown): { error: { code: ErrorCode; message: string } } {
    if (error instanceof BackplaneError || error instanceof HttpError || error instanceof AccessRefused) {
      return { error: { code: error.code, message: error.message } };
    }
    // Not thrown: the other messages of the batch are stored, and their results would be lost.
    this.#options.log.error({ error }, 'a message of a batch failed');
    return { error: { code: 'internal', message: 'the node failed to publish this message' } };
  }
}

/** Throws `HttpError`. `where`: what errors call the message. */
function checkedMessage(incoming: Incoming, where: string, maxPayloadBytes: number): ServerMessage {
  if ('problem' in incoming) throw new HttpError('bad_request', where + incoming.problem);
  const { room, data } = incoming;
  if (typeof room !== 'string') throw new HttpError('bad_request', `${where}: room must be a string`);
  const problem = roomNameProblem(room);
  if (problem) throw new HttpError('bad_room', `${where}: ${problem}`);
  if (data === undefined) throw new HttpError('bad_request', `${where}: data is missing`);
  if (data.length > maxPayloadBytes) {
    const what = `${where}: data of ${data.length} bytes is too large`;
    const limit = 'websocket.maxPayloadBytes';
    throw HttpError.of(overLimit('payload_too_large', what, limit, maxPayloadBytes, null));
  }
  return { room, data, ...checkedOptions(incoming, where) };
}

function checkedOptions(
  { key = null, ephemeral = null, conflateKey = null }: CheckedOptions,
  where: string,
): Pick<ServerMessage, 'key' | 'ephemeral' | 'conflateKey'> {
  const wrong = (what: string) => new HttpError('bad_request', `${where}: ${what}`);
  if (key !== null && typeof key !== 'string') throw wrong('key must be a string');
  if (ephemeral !== null && typeof ephemeral !== 'boolean') throw wrong('ephemeral must be a boolean');
  if (conflateKey !== null && typeof conflateKey !== 'string') throw wrong('conflateKey must be a string');
  const isEphemeral = ephemeral ?? false;
  const problem = (key === null ? null : keyProblem(key)) ?? kindProblem(isEphemeral, key, conflateKey);
  if (problem !== null) throw wrong(problem);
  return { key, ephemeral: isEphemeral, conflateKey };
}

interface CheckedOptions {
  readonly key?: unknown;
  readonly ephemeral?: unknown;
  readonly conflateKey?: unknown;
}
