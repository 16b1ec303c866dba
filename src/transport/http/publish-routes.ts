import { AccessRefused, BackplaneError, type BrokerNode } from '../../node/broker-node.ts';
import type { PublishResult } from '../../protocol/frames.ts';
import { MAX_KEY_BYTES, roomNameProblem, utf8Length } from '../../protocol/limits.ts';
import { packValue, unpackValue } from '../../protocol/msgpack/values.ts';
import { type Exchange, HttpError } from './exchange.ts';

/** Messages in one batch request. */
const MAX_BATCH = 1000;

interface Message {
  readonly room: string;
  readonly data: unknown;
  readonly key: string | null;
}

export interface PublishRouteOptions {
  readonly bodyBytes: number;
  /** Bytes of one message's data, as for clients. */
  readonly maxPayloadBytes: number;
}

/** `POST /v1/publish` and `POST /v1/publish/batch`: messages of the server API, without a sender. */
export class PublishRoutes {
  readonly #node: BrokerNode;
  readonly #options: PublishRouteOptions;

  constructor(node: BrokerNode, options: PublishRouteOptions) {
    this.#node = node;
    this.#options = options;
  }

  async publish(exchange: Exchange): Promise<void> {
    const message = toMessage(await this.#read(exchange), 'the body');
    exchange.reply(200, await this.#publish(message));
  }

  /** Answers a result per message, in order; one that failed has its error in place, and does not fail the others. */
  async publishBatch(exchange: Exchange): Promise<void> {
    const body = await this.#read(exchange);
    const list = isRecord(body) ? body.messages : undefined;
    if (!Array.isArray(list)) throw new HttpError('bad_request', 'messages is not a list');
    if (list.length > MAX_BATCH) {
      throw new HttpError(
        'limit_exceeded',
        `a batch holds at most ${MAX_BATCH} messages; this one has ${list.length}`,
      );
    }
    const messages = list.map((value, index) => toMessage(value, `messages[${index}]`));
    const results = await Promise.all(messages.map((message) => this.#publish(message).catch(toErrorBody)));
    exchange.reply(200, { results });
  }

  async #read(exchange: Exchange): Promise<unknown> {
    const { bodyBytes } = this.#options;
    const body = await exchange.body(bodyBytes);
    if (body === null) throw new HttpError('payload_too_large', `a body may have at most ${bodyBytes} bytes`);
    return exchange.sendsMsgpack ? parseMsgpack(body) : parseJson(body);
  }

  #publish({ room, data, key }: Message): Promise<PublishResult> {
    const packed = packValue(data);
    const { maxPayloadBytes } = this.#options;
    if (packed.length > maxPayloadBytes) {
      const message = `data has ${packed.length} bytes, more than the ${maxPayloadBytes} that a message may have`;
      return Promise.reject(new HttpError('payload_too_large', message));
    }
    return new Promise((resolve, reject) => {
      this.#node.publishFromServer(
        { room, data: packed, key },
        {
          published: (epoch, offset, duplicate) =>
            resolve(duplicate ? { epoch, offset, duplicate } : { epoch, offset }),
          failed: reject,
        },
      );
    });
  }
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new HttpError(
      'bad_request',
      `the body is not JSON: ${cause instanceof Error ? cause.message : ''}`,
    );
  }
}

function parseMsgpack(body: Buffer): unknown {
  try {
    return unpackValue(body);
  } catch {
    throw new HttpError('bad_request', 'the body is not one MessagePack value');
  }
}

function toMessage(value: unknown, where: string): Message {
  if (!isRecord(value)) throw new HttpError('bad_request', `${where} is not an object with room and data`);
  const { room, data, key } = value;
  if (typeof room !== 'string') throw new HttpError('bad_request', `${where}: room is not a string`);
  const problem = roomNameProblem(room);
  if (problem) throw new HttpError('bad_room', `${where}: ${problem}`);
  if (data === undefined) throw new HttpError('bad_request', `${where}: data is missing`);
  if (key === undefined || key === null) return { room, data, key: null };
  if (typeof key !== 'string' || key === '' || utf8Length(key) > MAX_KEY_BYTES) {
    throw new HttpError('bad_request', `${where}: key is not a string of 1 to ${MAX_KEY_BYTES} bytes`);
  }
  return { room, data, key };
}

function toErrorBody(error: unknown): { error: { code: string; message: string } } {
  if (error instanceof BackplaneError || error instanceof HttpError || error instanceof AccessRefused) {
    return { error: { code: error.code, message: error.message } };
  }
  throw error;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
