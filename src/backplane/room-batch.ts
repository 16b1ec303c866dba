/** Messages of one room that become one envelope. */
import type { BackplaneError, PublishRequest } from './backplane.ts';
import { draftEnvelope } from './envelope.ts';
import type { HistoryPolicy } from './history-policy.ts';

/** The position of a message published before under the same idempotency key. */
export interface FirstResult {
  readonly epoch: string;
  readonly offset: number;
}

/** The backplane's result for a batch. `first` is the offset of the first message that is not a duplicate. */
export interface BatchResult {
  readonly epoch: string;
  readonly first: number;
  /** By index of the request; null when there are none, which is nearly always. */
  readonly duplicates: ReadonlyMap<number, FirstResult> | null;
}

/**
 * An envelope is stored and read as a whole, so these limit how coarse the history of a room gets. 256 KiB is
 * also about the largest reasonable WebSocket message.
 */
const MAX_BYTES = 256 * 1024;
const MAX_MESSAGES = 4096;

export class RoomBatch {
  readonly room: string;
  readonly requests: PublishRequest[] = [];
  /** When its first message arrived, on the clock's `nowMs`. */
  readonly sinceMs: number;
  /** Of the frames. */
  bytes = 0;
  /** How many of the requests have an idempotency key. */
  keyed = 0;
  /** How many of them take the place of earlier ones. */
  conflating = 0;
  history: HistoryPolicy;

  constructor(room: string, history: HistoryPolicy, sinceMs: number) {
    this.room = room;
    this.history = history;
    this.sinceMs = sinceMs;
  }

  get hasHistory(): boolean {
    return this.history.messages > 0;
  }

  /** It has messages that the store keeps by their conflation id, since it keeps no others of the room. */
  get keepsNewest(): boolean {
    return this.conflating > 0 && !this.hasHistory;
  }

  /** Of signals, which nobody stores, whatever the room keeps. */
  get isSignal(): boolean {
    return this.requests[0]?.offsetAt === 0;
  }

  /** Whether this message may join the same envelope. The first one always may. */
  takes(request: PublishRequest): boolean {
    if (this.requests.length === 0) return true;
    return (
      this.requests.length < MAX_MESSAGES &&
      this.bytes + request.frame.length <= MAX_BYTES &&
      this.hasHistory === request.history.messages > 0 &&
      // Signals, which have none, go apart.
      this.requests[0]!.offsetAt === request.offsetAt
    );
  }

  add(request: PublishRequest): void {
    this.requests.push(request);
    this.bytes += request.frame.length;
    this.history = request.history;
    if (request.key !== null) this.keyed++;
    if (request.conflation) this.conflating++;
  }

  /** The batch without those requests. */
  without(indexes: ReadonlyMap<number, unknown>): RoomBatch {
    const rest = new RoomBatch(this.room, this.history, this.sinceMs);
    this.requests.forEach((request, i) => {
      if (!indexes.has(i)) rest.add(request);
    });
    return rest;
  }

  draft(nodeId: string, sentAtMs: number, publishedOn = 0): Buffer {
    return draftEnvelope(this.requests, nodeId, sentAtMs, publishedOn);
  }

  settle({ epoch, first, duplicates }: BatchResult): void {
    let offset = first;
    for (let i = 0; i < this.requests.length; i++) {
      const request = this.requests[i]!;
      const before = duplicates?.get(i);
      if (before !== undefined) request.settled(null, before.epoch, before.offset, true);
      else request.settled(null, epoch, first === 0 ? 0 : offset++, false);
    }
  }

  fail(error: BackplaneError): void {
    for (const request of this.requests) request.settled(error, '', 0, false);
  }
}
