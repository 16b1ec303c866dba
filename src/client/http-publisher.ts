/** Publishes over HTTP, one after the other, so that they keep their order. */
import type { ErrorCode } from '../protocol/codes.ts';
import type { ErrorFrame, ServerFrame } from '../protocol/frames.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { messageOf } from './errors.ts';

export interface HttpPublisherParts {
  readonly base: string;
  readonly token: string | null;
  readonly environment: Environment;
  readonly codec: ClientCodec;
  readonly answer: (frame: ServerFrame) => void;
  /** The node cannot be reached. */
  readonly lost: (reason: string) => void;
}

/** A request that takes longer is given up. The next connection repeats it, under its key. */
const ANSWER_MS = 15_000;

export class HttpPublisher {
  readonly #parts: HttpPublisherParts;
  readonly #abort = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(parts: HttpPublisherParts) {
    this.#parts = parts;
  }

  /** `data` is packed. Id 0: only errors are answered. */
  publish(id: number, room: string, data: Chunk, options: object): void {
    this.#last = this.#last.then(() => this.#send(id, room, data, options));
  }

  stop(): void {
    this.#abort.abort();
  }

  async #send(id: number, room: string, data: Chunk, options: object): Promise<void> {
    const { base, token, codec, environment, answer, lost } = this.#parts;
    const { signal } = this.#abort;
    if (signal.aborted) return;
    const type = codec.subprotocol.endsWith('json') ? 'application/json' : 'application/msgpack';
    const timer = environment.scheduler.after(ANSWER_MS, () => lost('the node did not answer a publish'));
    try {
      const response = await fetch(`${base}/v1/rooms/${encodeURIComponent(room)}/messages`, {
        method: 'POST',
        headers: {
          'content-type': type,
          accept: 'application/json',
          ...(token !== null && { authorization: `Bearer ${token}` }),
        },
        // The codec encodes any value, not only frames.
        body: codec.encode({ data: codec.unpack(data), ...options } as never),
        signal,
      });
      const result = (await response.json()) as { error?: HttpError };
      if (result.error !== undefined) answer(errorFrame(id, result.error, response));
      else if (id !== 0) answer(['ok', id, result as object] as ServerFrame);
    } catch (error) {
      if (!signal.aborted) lost(messageOf(error));
    } finally {
      timer.cancel();
    }
  }
}

/** The body of a refusal, as far as the client reads it. */
export interface HttpError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly limit?: string;
}

/** The frame that a WebSocket would have got. How long to wait is in it where the browser lets us see the header. */
export function errorFrame(id: number, { code, message, limit }: HttpError, response: Response): ErrorFrame {
  const seconds = Number(response.headers.get('retry-after'));
  const wait = seconds > 0 ? { retryAfterMs: seconds * 1000 } : {};
  return ['error', id, code, message, { ...wait, ...(limit !== undefined && { limit }) }];
}
