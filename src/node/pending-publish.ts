import type { BackplaneError, HistoryPolicy, PublishRequest } from '../backplane/backplane.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';

/** What came of a publish, for whoever asked for it. */
export interface PublishReply {
  published(epoch: string, offset: number, duplicate: boolean): void;
  failed(error: BackplaneError): void;
}

/** One message on its way through the backplane; counts what became of it. */
export class PendingPublish implements PublishRequest {
  readonly room: string;
  readonly history: HistoryPolicy;
  readonly frame: Uint8Array;
  readonly offsetAt: number;
  readonly key: string | null;
  readonly exclude: number;
  readonly #reply: PublishReply;
  readonly #metrics: NodeMetrics;
  readonly #acceptedAtMs: number;

  constructor(
    message: {
      room: string;
      history: HistoryPolicy;
      frame: Uint8Array;
      offsetAt: number;
      key: string | null;
      exclude: number;
    },
    reply: PublishReply,
    metrics: NodeMetrics,
    nowMs: number,
  ) {
    this.room = message.room;
    this.history = message.history;
    this.frame = message.frame;
    this.offsetAt = message.offsetAt;
    this.key = message.key;
    this.exclude = message.exclude;
    this.#reply = reply;
    this.#metrics = metrics;
    this.#acceptedAtMs = nowMs;
  }

  settled(
    error: BackplaneError | null,
    epoch: string,
    offset: number,
    duplicate: boolean,
    nowMs = performance.now(),
  ): void {
    const { messages } = this.#metrics;
    messages.publishDuration.observe((nowMs - this.#acceptedAtMs) / 1000);
    messages.settled[error ? error.code : duplicate ? 'duplicate' : 'ok']++;
    if (error) this.#reply.failed(error);
    else this.#reply.published(epoch, offset, duplicate);
  }
}
