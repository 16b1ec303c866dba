/**
 * Publishes that have not settled, in the order in which they were made. Each is stored at most once however often it is sent,
 * because it carries a key that nodes remember for a while. After that it is not sent again, and settles as unknown.
 */
import type { ErrorCode } from '../protocol/codes.ts';
import type { PublishResult } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import type { ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { ClosedError, PASSING, QueueFullError, RefusedError, UnknownOutcomeError } from './errors.ts';
import { Flow } from './flow.ts';
import { type Entry, momentOf, newEntry, type Publish } from './queue-entry.ts';
import type { Session } from './session.ts';

export interface QueueLimits {
  readonly messages: number;
  /** Of encoded payloads. */
  readonly bytes: number;
}

export interface PublishQueueParts {
  readonly environment: Environment;
  readonly codec: ClientCodec;
  readonly limits: QueueLimits;
  /** Something was added, sent or settled. */
  readonly changed: () => void;
  /** Called before the promise settles. `result` null: it was not stored, or nobody knows. */
  readonly settled: (publish: Publish, result: PublishResult | null) => void;
}

/** It is unknown whether the message was stored. */
const DOUBTFUL: readonly ErrorCode[] = ['timeout', 'internal'];
/** Until a node tells: what nodes do by default. */
const DEDUP_WINDOW_MS = 300_000;
/** Of the window, so that a message on its way still arrives inside it. */
const SAFE_SHARE = 0.9;

export class PublishQueue {
  readonly #parts: PublishQueueParts;
  readonly #flow: Flow;
  readonly #entries: Entry[] = [];
  #bytes = 0;
  #session: Session | null = null;
  #windowMs = DEDUP_WINDOW_MS;
  #expiry: Timer | null = null;

  constructor(parts: PublishQueueParts) {
    this.#parts = parts;
    this.#flow = new Flow(parts.environment, () => {
      this.#expire();
      this.#pump();
    });
  }

  /** Publishes that have not settled, oldest first. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Rejects with `QueueFullError`, `RefusedError`, `UnknownOutcomeError`, `ClosedError`, or the reason of `abort`. */
  add(publish: Publish, abort?: AbortSignal): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      abort?.throwIfAborted();
      const bytes = this.#parts.codec.sizeOf(publish.data);
      this.#refuseWhenFull(bytes);
      const entry = newEntry(publish, bytes, { resolve, reject });
      const aborted = () => {
        this.#giveUp(entry, 'it was aborted after it was sent', abort!.reason);
        this.#pump();
      };
      entry.settled = () => abort?.removeEventListener('abort', aborted);
      abort?.addEventListener('abort', aborted);
      this.#entries.push(entry);
      this.#bytes += bytes;
      this.#parts.changed();
      this.#pump();
    });
  }

  /** Takes up what waited when the page was closed, ahead of what was published since. Sent with the next connection. */
  restore(entries: readonly Entry[]): void {
    this.#entries.unshift(...entries);
    for (const { bytes } of entries) this.#bytes += bytes;
    this.#expire();
  }

  /** Whether a message that its publisher is not to get may be stored already, without anyone knowing its offset. */
  isDoubtful(inRoom: string): boolean {
    return this.#entries.some(
      ({ room, options, doubtfulSince }) => room === inRoom && options.echo === false && doubtfulSince,
    );
  }

  /** The connection may be used: everything that waits goes out, in order. */
  connected(session: Session, dedupWindowMs: number | undefined): void {
    this.#session = session;
    this.#windowMs = dedupWindowMs ?? this.#windowMs;
    this.#flow.begin();
    this.#expire();
    this.#pump();
  }

  /** The connection is gone, and its requests have failed. */
  disconnected(): void {
    this.#session = null;
    this.#flow.stop();
    this.#expire();
  }

  /** Settles everything. */
  close(reason: string): void {
    this.disconnected();
    this.#expiry?.cancel();
    for (const entry of this.#entries.slice())
      this.#giveUp(entry, `the client was closed: ${reason}`, new ClosedError(reason));
  }

  #refuseWhenFull(bytes: number): void {
    const { limits } = this.#parts;
    const { length } = this.#entries;
    if (length < limits.messages && this.#bytes + bytes <= limits.bytes) return;
    const held = `${length} of ${limits.messages} messages and ${this.#bytes} of ${limits.bytes} bytes`;
    throw new QueueFullError(`the queue holds ${held}: await publish(), or raise the option queue`);
  }

  #pump(): void {
    const session = this.#session;
    for (const entry of this.#entries.slice()) {
      if (!session?.isReady || !this.#flow.isOpen) return;
      if (entry.sentAt !== null || entry.isSettled) continue;
      const waitMs = session.waitMs(entry.bytes);
      // Whole milliseconds: sums of intervals are rounded, and a wait that is too short would repeat.
      if (waitMs > 0) return this.#flow.pauseFor(Math.ceil(waitMs));
      this.#send(entry, session);
    }
  }

  #send(entry: Entry, session: Session): void {
    entry.sentAt = momentOf(this.#parts.environment);
    this.#flow.sent();
    session.publish(entry.room, entry.data, entry.options, (error, result) =>
      this.#answered(entry, error, result as PublishResult),
    );
    this.#parts.changed();
  }

  #answered(entry: Entry, error: Error | null, result: PublishResult): void {
    const { sentAt } = entry;
    entry.sentAt = null;
    this.#flow.answered();
    if (!entry.isSettled) {
      if (error === null) {
        this.#flow.stored();
        this.#remove(entry, result);
        entry.resolve(result);
      } else if (!(error instanceof RefusedError)) entry.doubtfulSince ??= sentAt;
      else if (PASSING.includes(error.code)) {
        if (DOUBTFUL.includes(error.code)) entry.doubtfulSince ??= sentAt;
        this.#flow.refused(error.retryAfterMs);
      } else this.#giveUp(entry, error.message, error);
    }
    this.#pump();
  }

  /** Settles what nodes may have forgotten, and looks again when the next one is due. */
  #expire(): void {
    const { environment } = this.#parts;
    const now = momentOf(environment);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.slice()) {
      const { doubtfulSince, sentAt } = entry;
      if (doubtfulSince === null || sentAt !== null) continue;
      const agoMs = Math.max(now.nowMs - doubtfulSince.nowMs, now.wallMs - doubtfulSince.wallMs);
      const leftMs = this.#windowMs * SAFE_SHARE - agoMs;
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else this.#reject(entry, new UnknownOutcomeError('nodes no longer remember its key'));
    }
    this.#expiry?.cancel();
    if (nextMs < Number.POSITIVE_INFINITY) {
      this.#expiry = environment.scheduler.after(nextMs, () => this.#expire());
    }
  }

  #giveUp(entry: Entry, why: string, error: unknown): void {
    const mayBeStored = entry.sentAt ?? entry.doubtfulSince;
    this.#reject(entry, mayBeStored ? new UnknownOutcomeError(why) : error);
  }

  #reject(entry: Entry, error: unknown): void {
    this.#remove(entry, null);
    entry.reject(error);
  }

  #remove(entry: Entry, result: PublishResult | null): void {
    // Listeners run below, and may close the client while entries are gone through.
    if (entry.isSettled) return;
    entry.isSettled = true;
    entry.settled();
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    this.#bytes -= entry.bytes;
    this.#parts.changed();
    this.#parts.settled(entry, result);
  }
}
