/**
 * Publishes that have not settled, in the order in which they were made. Each is stored at most once however often it is sent,
 * because it carries a key that nodes remember for a while. After that it is not sent again, and settles as unknown.
 */
import type { ErrorCode } from '../protocol/codes.ts';
import type { PublishOptions, PublishResult } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { ClosedError, QueueFullError, RefusedError, UnknownOutcomeError } from './errors.ts';
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

/** A publish as it was made. */
export interface Publish {
  readonly room: string;
  readonly data: Chunk;
  readonly options: PublishOptions;
}

/** One that waits. `doubtfulSinceMs`: when it was first sent without an answer, in ms since the Unix epoch; null: surely not stored. */
export interface WaitingPublish extends Publish {
  readonly doubtfulSinceMs: number | null;
}

export interface Outcome {
  resolve(result: PublishResult): void;
  reject(error: unknown): void;
}

interface Entry extends Publish, Outcome {
  readonly bytes: number;
  /** The connection on which it waits for its answer. */
  sentOn: Session | null;
  sentAt: Moment | null;
  /** When it was first sent without a clear answer: it may be stored since. */
  doubtfulSince: Moment | null;
  isSettled: boolean;
  /** Called once it has settled. */
  settled: () => void;
}

/** By both clocks: one may stand still while the machine sleeps, the other may be set back. */
interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** Publishes on their way at one time. */
const MAX_IN_FLIGHT = 128;
/** Waiting may cure these. After the last two it is unknown whether the message was stored. */
const PASSING: readonly ErrorCode[] = ['rate_limited', 'unavailable', 'timeout', 'internal'];
const DOUBTFUL: readonly ErrorCode[] = ['timeout', 'internal'];
const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 5_000;
/** Until a node tells: what nodes do by default. */
const DEDUP_WINDOW_MS = 300_000;
/** Of the window, so that a message on its way still arrives inside it. */
const SAFE_SHARE = 0.9;
/** A frame without its payload takes less. */
const FRAME_BYTES = 512;
const A_LARGE_ID = 2 ** 32;

export class PublishQueue {
  readonly #parts: PublishQueueParts;
  #entries: Entry[] = [];
  #bytes = 0;
  #inFlight = 0;
  /** How many may be on their way. One after a refusal, and twice as many with each that is stored: later ones do not overtake. */
  #mayBeInFlight = MAX_IN_FLIGHT;
  #session: Session | null = null;
  #windowMs = DEDUP_WINDOW_MS;
  #retries = 0;
  /** While it runs nothing is sent, so that nothing is refused, or what was refused is not overtaken by what waits behind it. */
  #pause: Timer | null = null;
  #isBackingOff = false;
  #expiry: Timer | null = null;

  constructor(parts: PublishQueueParts) {
    this.#parts = parts;
  }

  /** Publishes that have not settled. */
  get size(): number {
    return this.#entries.length;
  }

  /** Rejects with `QueueFullError`, `RefusedError`, `UnknownOutcomeError`, `ClosedError`, or the reason of `abort`. */
  add(publish: Publish, abort?: AbortSignal): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      abort?.throwIfAborted();
      this.#refuseWhenFull(this.#parts.codec.sizeOf(publish.data));
      const aborted = () => this.#abort(entry, abort!.reason);
      const entry = this.#push(publish, { resolve, reject });
      entry.settled = () => abort?.removeEventListener('abort', aborted);
      abort?.addEventListener('abort', aborted);
      this.#pump();
    });
  }

  /** Takes up what waited when the page was closed, ahead of what was published since. Sent with the next connection. */
  restore(waiting: readonly WaitingPublish[], outcome: Outcome): void {
    const newer = this.#entries;
    this.#entries = [];
    for (const publish of waiting) {
      const entry = this.#push(publish, outcome);
      if (publish.doubtfulSinceMs !== null) {
        const { nowMs, wallMs } = this.#now();
        const agoMs = wallMs - publish.doubtfulSinceMs;
        entry.doubtfulSince = { nowMs: nowMs - agoMs, wallMs: publish.doubtfulSinceMs };
      }
    }
    this.#entries.push(...newer);
    this.#expire();
  }

  /** Oldest first. What is on its way may be stored, so it counts as doubtful. */
  get waiting(): WaitingPublish[] {
    return this.#entries.map(({ room, data, options, sentAt, doubtfulSince }) => {
      return { room, data, options, doubtfulSinceMs: (doubtfulSince ?? sentAt)?.wallMs ?? null };
    });
  }

  /** Whether a message that its publisher is not to get may be stored already, without anyone knowing its offset. */
  isDoubtful(inRoom: string): boolean {
    return this.#entries.some(
      ({ room, options, doubtfulSince }) =>
        room === inRoom && options.echo === false && doubtfulSince !== null,
    );
  }

  /** The connection may be used: everything that waits goes out, in order. */
  connected(session: Session, dedupWindowMs: number | undefined): void {
    this.#session = session;
    this.#windowMs = dedupWindowMs ?? this.#windowMs;
    this.#retries = 0;
    this.#mayBeInFlight = MAX_IN_FLIGHT;
    this.#expire();
    this.#pump();
  }

  /** The connection is gone, and its requests have failed. */
  disconnected(): void {
    this.#session = null;
    this.#endPause();
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
    if (this.size < limits.messages && this.#bytes + bytes <= limits.bytes) return;
    const held = `${this.size} of ${limits.messages} messages and ${this.#bytes} of ${limits.bytes} bytes`;
    throw new QueueFullError(`the queue holds ${held}: await publish(), or raise the option queue`);
  }

  #push(publish: Publish, outcome: Outcome): Entry {
    const bytes = this.#parts.codec.sizeOf(publish.data);
    const entry = {
      ...publish,
      ...outcome,
      bytes,
      sentOn: null,
      sentAt: null,
      doubtfulSince: null,
      isSettled: false,
      settled: () => undefined,
    };
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#parts.changed();
    return entry;
  }

  #pump(): void {
    const session = this.#session;
    if (!session?.isReady || this.#pause !== null) return;
    for (const entry of this.#entries.slice()) {
      if (this.#inFlight >= this.#mayBeInFlight) return;
      if (entry.sentOn !== null || entry.isSettled) continue;
      const waitMs = session.waitMs(entry.bytes);
      // Whole milliseconds: sums of intervals are rounded, and a wait that is too short would repeat.
      if (waitMs > 0) return this.#pauseFor(Math.ceil(waitMs));
      this.#send(entry, session);
    }
  }

  #send(entry: Entry, session: Session): void {
    const { codec } = this.#parts;
    const { room, data, options } = entry;
    if (entry.bytes + FRAME_BYTES > session.maxPayload) {
      const bytes = codec.sizeOf(codec.encodePublish(A_LARGE_ID, room, data, options));
      if (bytes > session.maxPayload) {
        const why = `the message takes ${bytes} bytes, and the node accepts ${session.maxPayload}`;
        return this.#reject(entry, new RefusedError('payload_too_large', why));
      }
    }
    entry.sentOn = session;
    entry.sentAt = this.#now();
    this.#inFlight++;
    session.publish(room, data, options, (error, result) =>
      this.#answered(entry, error, result as PublishResult),
    );
    this.#parts.changed();
  }

  #answered(entry: Entry, error: Error | null, result: PublishResult): void {
    this.#inFlight--;
    const { sentAt } = entry;
    entry.sentOn = entry.sentAt = null;
    if (!entry.isSettled) {
      if (error === null) this.#resolve(entry, result);
      else if (!(error instanceof RefusedError)) entry.doubtfulSince ??= sentAt;
      else if (PASSING.includes(error.code)) {
        if (DOUBTFUL.includes(error.code)) entry.doubtfulSince ??= sentAt;
        this.#backOff(error.retryAfterMs ?? 0);
      } else this.#reject(entry, error);
    }
    this.#pump();
  }

  #backOff(retryAfterMs: number): void {
    this.#mayBeInFlight = 1;
    if (this.#session === null || this.#isBackingOff) return;
    const { scheduler } = this.#parts.environment;
    const backoffMs = scheduler.random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** this.#retries++);
    this.#pauseFor(retryAfterMs + backoffMs);
    this.#isBackingOff = true;
  }

  #pauseFor(delayMs: number): void {
    this.#endPause();
    this.#pause = this.#parts.environment.scheduler.after(delayMs, () => {
      this.#endPause();
      this.#expire();
      this.#pump();
    });
  }

  #endPause(): void {
    this.#pause?.cancel();
    this.#pause = null;
    this.#isBackingOff = false;
  }

  /** Settles what nodes may have forgotten, and looks again when the next one is due. */
  #expire(): void {
    const now = this.#now();
    const safeMs = this.#windowMs * SAFE_SHARE;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.slice()) {
      const since = entry.doubtfulSince;
      if (since === null || entry.sentOn !== null) continue;
      const leftMs = safeMs - Math.max(now.nowMs - since.nowMs, now.wallMs - since.wallMs);
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else this.#reject(entry, new UnknownOutcomeError('nodes no longer remember its key'));
    }
    this.#expiry?.cancel();
    if (nextMs < Number.POSITIVE_INFINITY) {
      this.#expiry = this.#parts.environment.scheduler.after(nextMs, () => this.#expire());
    }
  }

  #abort(entry: Entry, reason: unknown): void {
    this.#giveUp(entry, 'it was aborted after it was sent', reason);
    this.#pump();
  }

  #giveUp(entry: Entry, why: string, error: unknown): void {
    const isDoubtful = entry.sentAt !== null || entry.doubtfulSince !== null;
    this.#reject(entry, isDoubtful ? new UnknownOutcomeError(why) : error);
  }

  #resolve(entry: Entry, result: PublishResult): void {
    this.#retries = 0;
    this.#mayBeInFlight = Math.min(MAX_IN_FLIGHT, this.#mayBeInFlight * 2);
    this.#remove(entry, result);
    entry.resolve(result);
  }

  #reject(entry: Entry, error: unknown): void {
    this.#remove(entry, null);
    entry.reject(error);
  }

  #remove(entry: Entry, result: PublishResult | null): void {
    entry.isSettled = true;
    entry.settled();
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    this.#bytes -= entry.bytes;
    this.#parts.changed();
    this.#parts.settled(entry, result);
  }

  #now(): Moment {
    const { scheduler } = this.#parts.environment;
    return { nowMs: scheduler.nowMs(), wallMs: scheduler.wallMs() };
  }
}
