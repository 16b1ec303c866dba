import type { BackplaneError, PublishRequest } from '../backplane/backplane.ts';
import type { HistoryPolicy } from '../backplane/history-policy.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { BuiltMessage } from '../protocol/message-frame.ts';
import type { Clock } from '../util/clock.ts';

/** The outcome of a publish, for its requester. */
export interface PublishReply {
  published(epoch: string, offset: number, duplicate: boolean): void;
  failed(error: BackplaneError): void;
}

export interface PendingMessage {
  readonly room: string;
  readonly history: HistoryPolicy;
  readonly built: BuiltMessage;
  readonly key: string | null;
  readonly exclude: number;
  readonly conflation: Uint8Array | null;
  readonly acceptedAtMs: number;
}

export interface PendingPublishParts {
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
}

/**
 * One message on its way through the backplane; counts its outcome. Publishers extend this with what they
 * must be told, so that a message on its way is one object.
 */
export abstract class PendingPublish implements PublishRequest, PublishReply {
  readonly room: string;
  readonly history: HistoryPolicy;
  readonly frame: Uint8Array;
  readonly offsetAt: number;
  readonly key: string | null;
  readonly exclude: number;
  readonly conflation: Uint8Array | null;
  readonly #parts: PendingPublishParts;
  readonly #acceptedAtMs: number;

  constructor(
    { room, history, built, key, exclude, conflation, acceptedAtMs }: PendingMessage,
    parts: PendingPublishParts,
  ) {
    this.room = room;
    this.history = history;
    this.frame = built.frame;
    this.offsetAt = built.offsetAt;
    this.key = key;
    this.exclude = exclude;
    this.conflation = conflation;
    this.#parts = parts;
    this.#acceptedAtMs = acceptedAtMs;
  }

  abstract published(epoch: string, offset: number, duplicate: boolean): void;
  abstract failed(error: BackplaneError): void;

  settled(error: BackplaneError | null, epoch: string, offset: number, duplicate: boolean): void {
    const { metrics, clock } = this.#parts;
    const { messages } = metrics;
    messages.publishDuration.observe((clock.nowMs() - this.#acceptedAtMs) / 1000);
    messages.settled[error ? error.code : duplicate ? 'duplicate' : 'ok']++;
    if (error) this.failed(error);
    else this.published(epoch, offset, duplicate);
  }
}
