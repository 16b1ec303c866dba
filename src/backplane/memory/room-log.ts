/** One room of the memory backplane: its numbering, its envelopes and its idempotency keys. */
import { randomId } from '../../util/ids.ts';
import type { HistoryPage, NewestPage, ReadOptions, RoomPosition } from '../backplane.ts';
import { type Envelope, finishConflated, finishEnvelope, ID_BYTES } from '../envelope.ts';
import type { HistoryPolicy } from '../history-policy.ts';
import { KeptEnvelopes } from '../kept-envelopes.ts';
import { KEPT_FRAME_BYTES, NewestMessages } from '../newest-messages.ts';
import type { BatchResult, FirstResult, RoomBatch } from '../room-batch.ts';

interface RememberedKey extends FirstResult {
  readonly expiresAtMs: number;
}

/**
 * The result of a commit: the envelope to deliver (null if all were duplicates), and how to settle the batch.
 */
export interface Commit {
  readonly envelope: Envelope | null;
  readonly result: BatchResult;
}

let lastMark = 0;

/** All times are the injected clock's `nowMs`. */
export class RoomLog {
  #epoch: string;
  #offset = 0;
  /** With the time at which each was stored. */
  readonly #kept = new KeptEnvelopes();
  /** In the order of expiry, since the window is the same for all. */
  readonly #keys = new Map<string, RememberedKey>();
  #newest: NewestMessages | null = null;
  #history: HistoryPolicy = { messages: 0, ageMs: 0 };
  #usedAtMs: number;

  constructor(nowMs: number) {
    this.#epoch = randomId(ID_BYTES);
    this.#usedAtMs = nowMs;
  }

  commit(batch: RoomBatch, nodeId: string, sentAtMs: number, nowMs: number, dedupWindowMs: number): Commit {
    this.#touch(batch.history, nowMs);
    const epoch = batch.hasHistory ? this.#epoch : '';
    const duplicates = batch.keyed === 0 ? null : this.#findDuplicates(batch, epoch, nowMs, dedupWindowMs);
    const fresh = duplicates === null ? batch : batch.without(duplicates);
    const first = batch.hasHistory ? this.#offset + 1 : 0;
    const result = { epoch, first, duplicates };
    if (fresh.requests.length === 0) return { envelope: null, result };
    const draft = fresh.draft(nodeId, sentAtMs);
    if (fresh.keepsNewest) {
      return { envelope: finishConflated(draft, this.#keepNewest(fresh, nowMs)), result };
    }
    const envelope = finishEnvelope(draft, epoch, first);
    if (batch.hasHistory) this.#store(envelope, nowMs);
    return { envelope, result };
  }

  get position(): FirstResult {
    return { epoch: this.#epoch, offset: this.#offset };
  }

  /** Nothing was ever stored in it. */
  get isEmpty(): boolean {
    return this.#offset === 0;
  }

  read(
    history: HistoryPolicy,
    { after = 0, limit, begin = false, newest = false, bytes = Infinity }: ReadOptions,
    nowMs: number,
  ): HistoryPage {
    if (begin || !this.isEmpty) this.#touch(history, nowMs);
    this.#trim(nowMs);
    const from = Math.max(after, this.#offset - history.messages, newest ? this.#offset - limit : 0);
    const envelopes = limit === 0 ? [] : this.#kept.after(from, { messages: limit });
    return { epoch: this.#epoch, offset: this.#offset, envelopes: within(bytes, envelopes, newest) };
  }

  /** Returns the mark of the last message. Marks are the process's own, so that they rise when a room is forgotten. */
  #keepNewest({ requests }: RoomBatch, nowMs: number): number {
    this.#newest ??= new NewestMessages();
    for (const { conflation, frame } of requests) {
      lastMark++;
      if (!conflation) continue;
      const id = Buffer.from(conflation).toString('latin1');
      if (frame.length > KEPT_FRAME_BYTES) {
        this.#newest.drop(id);
        continue;
      }
      const message = { id, mark: lastMark, frame: Buffer.from(frame), exclude: 0, bornMs: nowMs };
      this.#newest.set(message);
    }
    return lastMark;
  }

  newest(ageMs: number, nowMs: number): NewestPage {
    const messages = this.#newest?.after(0, nowMs - ageMs) ?? [];
    return {
      mark: this.#newest === null ? 0 : lastMark,
      messages: messages.map(({ id, mark, frame, bornMs }) => ({ id, mark, frame, ageMs: nowMs - bornMs })),
    };
  }

  /**
   * See `Backplane.renewEpoch`. A process cannot lose writes and continue, but the port is the same for all.
   */
  renewEpoch(epoch: string, seen: number): void {
    if (epoch === this.#epoch && this.#offset < seen) this.#epoch = randomId(ID_BYTES);
  }

  /** See `Backplane.clearHistory`. */
  clear(): RoomPosition {
    this.#epoch = randomId(ID_BYTES);
    this.#kept.clear();
    return { epoch: this.#epoch, offset: this.#offset };
  }

  /** Drops what has expired. True if the room itself was unused for `lifeMs` and can be forgotten. */
  sweep(nowMs: number, lifeMs: number): boolean {
    this.#trim(nowMs);
    this.#forgetKeys(nowMs);
    return nowMs - this.#usedAtMs >= lifeMs && this.#keys.size === 0;
  }

  #touch(history: HistoryPolicy, nowMs: number): void {
    this.#usedAtMs = nowMs;
    this.#history = history;
  }

  #store(envelope: Envelope, nowMs: number): void {
    this.#offset = envelope.last;
    this.#kept.append(envelope, nowMs);
    this.#trim(nowMs);
  }

  #trim(nowMs: number): void {
    const { messages, ageMs, bytes = 0 } = this.#history;
    const oldest = this.#offset - messages;
    for (let kept = this.#kept.oldest; kept !== null; kept = this.#kept.oldest) {
      const isTooMuch = bytes > 0 && this.#kept.bytes > bytes && kept.last < this.#offset;
      if (kept.last > oldest && nowMs - kept.timeMs <= ageMs && !isTooMuch) return;
      this.#kept.dropOldest();
    }
  }

  /** Looks up the batch's keys and stores the new ones. Null if all of them are new. */
  #findDuplicates(
    batch: RoomBatch,
    epoch: string,
    nowMs: number,
    windowMs: number,
  ): Map<number, FirstResult> | null {
    this.#forgetKeys(nowMs);
    const duplicates = new Map<number, FirstResult>();
    for (let i = 0; i < batch.requests.length; i++) {
      const { key } = batch.requests[i]!;
      if (key === null) continue;
      const before = this.#keys.get(key);
      const offset = batch.hasHistory ? this.#offset + 1 + i - duplicates.size : 0;
      if (before !== undefined) duplicates.set(i, { epoch: before.epoch, offset: before.offset });
      else this.#keys.set(key, { epoch, offset, expiresAtMs: nowMs + windowMs });
    }
    return duplicates.size === 0 ? null : duplicates;
  }

  #forgetKeys(nowMs: number): void {
    for (const [key, { expiresAtMs }] of this.#keys) {
      if (expiresAtMs > nowMs) return;
      this.#keys.delete(key);
    }
  }
}

/**
 * The first of them, or with `newest` the last, that together have at most this many bytes; always at least
 * one.
 */
function within(bytes: number, envelopes: readonly Envelope[], newest: boolean): readonly Envelope[] {
  let sum = 0;
  const ordered = newest ? [...envelopes].reverse() : envelopes;
  const end = ordered.findIndex((envelope, i) => {
    sum += envelope.bytes.length;
    return i > 0 && sum > bytes;
  });
  if (end === -1) return envelopes;
  return newest ? envelopes.slice(envelopes.length - end) : envelopes.slice(0, end);
}
