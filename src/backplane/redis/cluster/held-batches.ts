/**
 * Batches that wait while a partition cannot be written to, because its slot moves or its master changes. Batches that a server did not
 * run come first, then those that came later. So the messages of a room keep their order.
 */
import type { Clock } from '../../../util/clock.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { type PublishRequest, unavailable } from '../../backplane.ts';
import { PublishQueue } from '../../publish-queue.ts';
import type { RoomBatch } from '../../room-batch.ts';

export interface HeldBatchesOptions {
  readonly clock: Clock;
  /** Messages that waited longer than this are failed. */
  readonly maxWaitMs: number;
}

const MAX_MESSAGES = 50_000;
const MAX_BYTES = 32 * 1024 * 1024;

export class HeldBatches {
  readonly #options: HeldBatchesOptions;
  readonly #queues = new Map<number, PublishQueue>();

  constructor(options: HeldBatchesOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  get partitions(): readonly number[] {
    return [...this.#queues.keys()];
  }

  isHeld(partition: number): boolean {
    return this.#queues.has(partition);
  }

  /** Holds the partition: what comes for it waits, until `release`. */
  hold(partition: number): void {
    if (!this.#queues.has(partition)) this.#queues.set(partition, new PublishQueue());
  }

  /** Of a partition that is held. */
  push(partition: number, request: PublishRequest): void {
    if (!this.#isFull()) return this.#queues.get(partition)?.push(request, this.#options.clock.nowMs());
    const error = unavailable('publish', 'too many messages wait for Redis');
    systemScheduler.atEndOfTurn(() => request.settled(error, '', 0, false));
  }

  /** Puts batches before all that waits: they are older. */
  prepend(partition: number, batches: readonly RoomBatch[]): void {
    const younger = this.#queues.get(partition)?.takeAll() ?? [];
    const queue = new PublishQueue();
    queue.append(batches);
    queue.append(younger);
    this.#queues.set(partition, queue);
  }

  /** Adds batches after all that waits. */
  append(partition: number, batches: readonly RoomBatch[]): void {
    this.hold(partition);
    this.#queues.get(partition)?.append(batches);
  }

  /** Ends the hold, and returns what waited, oldest first. */
  release(partition: number): RoomBatch[] {
    const batches = this.#queues.get(partition)?.takeAll() ?? [];
    this.#queues.delete(partition);
    return batches;
  }

  /** Fails what waited too long. The hold goes on. */
  expire(reasonOf: (partition: number) => string): void {
    const oldestMs = this.#options.clock.nowMs() - this.#options.maxWaitMs;
    for (const [partition, queue] of this.#queues) {
      const all = queue.takeAll();
      queue.append(all.filter(({ sinceMs }) => sinceMs >= oldestMs));
      const late = all.filter(({ sinceMs }) => sinceMs < oldestMs);
      if (late.length === 0) continue;
      const error = unavailable('publish', reasonOf(partition));
      for (const batch of late) batch.fail(error);
    }
  }

  /** Fails what waits, and ends the hold. */
  fail(partition: number, reason: string): void {
    const error = unavailable('publish', reason);
    for (const batch of this.release(partition)) batch.fail(error);
  }

  /** Fails everything. */
  close(reason: string): void {
    for (const partition of this.partitions) this.fail(partition, reason);
  }

  #isFull(): boolean {
    let messages = 0;
    let bytes = 0;
    for (const queue of this.#queues.values()) {
      messages += queue.messages;
      bytes += queue.bytes;
    }
    return messages >= MAX_MESSAGES || bytes >= MAX_BYTES;
  }
}
