/** Messages waiting to be committed: gathered by room, handed out in the order of arrival. */
import type { PublishRequest } from './backplane.ts';
import { RoomBatch } from './room-batch.ts';

/** Limits of one `take`. The first batch is always handed out, however large. */
export interface TakeLimits {
  readonly batches: number;
  readonly messages: number;
  readonly bytes: number;
  /** At most one batch of each room. Default false. */
  readonly distinctRooms?: boolean;
}

export class PublishQueue {
  #batches: RoomBatch[] = [];
  /** The newest batch of each room: the only one that still grows, which keeps a room's messages in order. */
  readonly #open = new Map<string, RoomBatch>();
  #messages = 0;
  #bytes = 0;

  get messages(): number {
    return this.#messages;
  }

  /** Bytes of the frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `nowMs` is the arrival of the request. */
  push(request: PublishRequest, nowMs: number): void {
    let batch = this.#open.get(request.room);
    if (batch === undefined || !batch.takes(request)) {
      batch = new RoomBatch(request.room, request.history, nowMs);
      this.#open.set(request.room, batch);
      this.#batches.push(batch);
    }
    batch.add(request);
    this.#messages++;
    this.#bytes += request.frame.length;
  }

  /** The oldest batches, by the arrival of their first message: a busy room does not hold up the others. */
  take(limits: TakeLimits): RoomBatch[] {
    const count = this.#countWithin(limits);
    const taken = count === this.#batches.length ? this.#batches : this.#batches.splice(0, count);
    if (taken === this.#batches) this.#batches = [];
    for (const batch of taken) {
      this.#messages -= batch.requests.length;
      this.#bytes -= batch.bytes;
      if (this.#open.get(batch.room) === batch) this.#open.delete(batch.room);
    }
    return taken;
  }

  /** Adds batches as they are, after all others. */
  append(batches: readonly RoomBatch[]): void {
    for (const batch of batches) {
      this.#open.delete(batch.room);
      this.#batches.push(batch);
      this.#messages += batch.requests.length;
      this.#bytes += batch.bytes;
    }
  }

  /** Takes all batches of these rooms, in order. */
  takeOf(has: (room: string) => boolean): RoomBatch[] {
    const all = this.takeAll();
    // What stays no longer grows, which costs some batches more.
    this.append(all.filter((batch) => !has(batch.room)));
    return all.filter((batch) => has(batch.room));
  }

  takeAll(): RoomBatch[] {
    return this.take({ batches: Infinity, messages: Infinity, bytes: Infinity });
  }

  #countWithin(limits: TakeLimits): number {
    let count = 0;
    let messages = 0;
    let bytes = 0;
    const rooms = limits.distinctRooms === true ? new Set<string>() : null;
    for (const batch of this.#batches) {
      if (rooms?.has(batch.room) === true) break;
      rooms?.add(batch.room);
      messages += batch.requests.length;
      bytes += batch.bytes;
      if (count > 0 && (count === limits.batches || messages > limits.messages || bytes > limits.bytes))
        break;
      count++;
    }
    return count;
  }
}
