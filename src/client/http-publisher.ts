/** Publishes over HTTP, one after the other, so that they keep their order. */
import type { ErrorCode } from '../protocol/codes.ts';
import type { ServerFrame } from '../protocol/frames.ts';
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
      const result = (await response.json()) as { error?: { code: ErrorCode; message: string } };
      if (result.error !== undefined) {
        answer(['error', id, result.error.code, result.error.message, retryDetails(response)]);
      } else if (id !== 0) answer(['ok', id, result as object] as ServerFrame);
    } catch (error) {
      if (!signal.aborted) lost(messageOf(error));
    } finally {
      timer.cancel();
    }
  }
}

/** How long the node asks to wait, where the browser lets us see it. */
export function retryDetails(response: Response): { readonly retryAfterMs?: number } {
  const seconds = Number(response.headers.get('retry-after'));
  return seconds > 0 ? { retryAfterMs: seconds * 1000 } : {};
}
