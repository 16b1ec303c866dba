/** What waits to be sent: all that is asked for in one turn leaves together, in as few WebSocket messages as the node's limit allows. */
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';

/** Between frames, in JSON. */
const SEPARATOR_BYTES = 1;

export class Outbox {
  readonly #codec: ClientCodec;
  readonly #environment: Environment;
  readonly #send: (message: Chunk) => void;
  #frames: { readonly chunk: Chunk; readonly bytes: number }[] = [];

  constructor(codec: ClientCodec, environment: Environment, send: (message: Chunk) => void) {
    this.#codec = codec;
    this.#environment = environment;
    this.#send = send;
  }

  /** `bytes`: of the chunk. `maxBytes`: of one WebSocket message. */
  add(chunk: Chunk, bytes: number, maxBytes: number): void {
    this.#frames.push({ chunk, bytes: bytes + SEPARATOR_BYTES });
    if (this.#frames.length === 1) this.#environment.scheduler.atEndOfTurn(() => this.flush(maxBytes));
  }

  flush(maxBytes: number): void {
    const frames = this.#frames;
    this.#frames = [];
    let message: Chunk[] = [];
    let total = 0;
    for (const { chunk, bytes } of frames) {
      if (total + bytes > maxBytes && message.length > 0) {
        this.#send(this.#codec.join(message));
        message = [];
        total = 0;
      }
      message.push(chunk);
      total += bytes;
    }
    if (message.length > 0) this.#send(this.#codec.join(message));
  }
}
