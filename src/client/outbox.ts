/** What waits to be sent: all that is asked for in one turn leaves together, in as few WebSocket messages as the node's limit allows. */
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';

/** Between frames, in JSON. */
const SEPARATOR_BYTES = 1;

export class Outbox {
  readonly #codec: ClientCodec;
  readonly #environment: Environment;
  readonly #send: (message: Chunk) => void;
  #chunks: Chunk[] = [];

  constructor(codec: ClientCodec, environment: Environment, send: (message: Chunk) => void) {
    this.#codec = codec;
    this.#environment = environment;
    this.#send = send;
  }

  /** `maxBytes`: of one WebSocket message. */
  add(chunk: Chunk, maxBytes: number): void {
    this.#chunks.push(chunk);
    if (this.#chunks.length === 1) this.#environment.scheduler.atEndOfTurn(() => this.flush(maxBytes));
  }

  flush(maxBytes: number): void {
    const chunks = this.#chunks;
    this.#chunks = [];
    let message: Chunk[] = [];
    let bytes = 0;
    for (const chunk of chunks) {
      const size = this.#codec.sizeOf(chunk) + SEPARATOR_BYTES;
      if (bytes + size > maxBytes && message.length > 0) {
        this.#send(this.#codec.join(message));
        message = [];
        bytes = 0;
      }
      message.push(chunk);
      bytes += size;
    }
    if (message.length > 0) this.#send(this.#codec.join(message));
  }
}
