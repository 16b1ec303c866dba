/** Sends messages to whichever master has their partition, and holds them while it moves or its master changes. */
import type { Clock } from '../../../util/clock.ts';
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';
import { type PublishRequest, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { RoomBatch } from '../../room-batch.ts';
import type { Keys } from '../keys/keys.ts';
import type { Shard } from '../shard/shard.ts';
import { RETRY_MS } from './cluster-calls.ts';
import { HeldBatches } from './held-batches.ts';
import { isPassing, isSettling, type Lane, type Lanes, laneProblem } from './lanes.ts';

export interface ClusterPublishingOptions {
  readonly lanes: Lanes;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly commandTimeoutMs: number;
  readonly metrics: BackplaneMetrics;
  /** Slots may have moved. */
  hint(): void;
}

export class ClusterPublishing {
  readonly #options: ClusterPublishingOptions;
  readonly #held: HeldBatches;
  /** Partitions that moved, with the masters that had them, where something may still be in flight. */
  readonly #leaving = new Map<number, Set<Shard>>();
  #retries: Timer | undefined;
  #isStopped = false;

  constructor(options: ClusterPublishingOptions) {
    this.#options = options;
    this.#held = new HeldBatches({ clock: options.clock, maxWaitMs: options.commandTimeoutMs });
  }

  publish(request: PublishRequest): void {
    const partition = this.#options.keys.partitionOf(request.room);
    const lane = this.#options.lanes.ofPart(partition);
    const { member } = lane;
    if (member === null || this.#held.isHeld(partition) || isSettling(lane)) this.#hold(partition, request);
    else if (member.problem() === null) member.shard.publish(request);
    else if (this.#isPassing(lane)) this.#hold(partition, request);
    else this.#refuse(request, member.problem() ?? SHUTTING_DOWN);
  }

  /** A server did not run these, or they could not be sent: they come before all that waits of their partitions, wherever it waits. */
  notRun(shard: Shard, batches: readonly RoomBatch[]): void {
    for (const [partition, own] of this.#byPartition(batches)) {
      const present = this.#options.lanes.ofPart(partition).member?.shard;
      const younger = shard.withdraw(this.#isIn(partition));
      if (present !== undefined && present !== shard)
        younger.push(...present.withdraw(this.#isIn(partition)));
      if (!this.#held.isHeld(partition)) this.#held.append(partition, younger);
      else if (younger.length > 0) this.#held.prepend(partition, younger);
      this.#held.prepend(partition, own);
    }
    this.#options.metrics.batchesHeld(batches.length);
    this.#options.hint();
    this.retryLater();
  }

  /** Other masters have these partitions now. What is in flight on the former ones comes first. */
  moved(from: Shard, partitions: ReadonlySet<number>): void {
    const { keys } = this.#options;
    const waiting = this.#byPartition(from.withdraw((room) => partitions.has(keys.partitionOf(room))));
    for (const partition of partitions) {
      // Older than what is held already, if anything is.
      this.#held.prepend(partition, waiting.get(partition) ?? []);
      this.#leaving.set(partition, (this.#leaving.get(partition) ?? new Set()).add(from));
    }
    this.retryLater();
  }

  retryLater(): void {
    if (this.#isStopped) return;
    this.#retries ??= systemScheduler.every(RETRY_MS, () => {
      this.#retry();
      if (!this.#held.isEmpty) this.#options.hint();
    });
  }

  /** Something has changed: what is held may be sent. Asks for no map: it is called with each one that was read. */
  retryNow(): void {
    if (!this.#held.isEmpty) this.#retry();
  }

  stop(): void {
    this.#isStopped = true;
    this.#retries?.cancel();
  }

  close(): void {
    this.#held.close(SHUTTING_DOWN);
  }

  #hold(partition: number, request: PublishRequest): void {
    if (this.#isStopped) return this.#refuse(request, SHUTTING_DOWN);
    this.#held.hold(partition);
    this.#held.push(partition, request);
    this.retryLater();
  }

  #refuse(request: PublishRequest, reason: string): void {
    const error = unavailable('publish', reason);
    systemScheduler.atEndOfTurn(() => request.settled(error, '', 0, false));
  }

  /** Sends what is held to the masters that can take it now. */
  #retry(): void {
    const { lanes } = this.#options;
    this.#held.expire((partition) => laneProblem(lanes.ofPart(partition)) ?? 'waited too long for Redis');
    for (const partition of this.#held.partitions) this.#tryRelease(partition);
    if (!this.#held.isEmpty) return;
    this.#retries?.cancel();
    this.#retries = undefined;
  }

  #tryRelease(partition: number): void {
    const lane = this.#options.lanes.ofPart(partition);
    const { member } = lane;
    if (member === null || isSettling(lane) || this.#isLeaving(partition, member.shard)) return;
    const problem = member.problem();
    if (problem !== null) {
      if (!this.#isPassing(lane)) this.#held.fail(partition, problem);
      return;
    }
    member.shard.append(this.#held.release(partition));
  }

  /** Whether something is in flight on a master that had the partition: it may have to come first, so the hold must not end. */
  #isLeaving(partition: number, present: Shard): boolean {
    const former = this.#leaving.get(partition);
    if (former === undefined) return false;
    for (const shard of former) {
      // One that has it again keeps the order itself. One that was closed sends nothing.
      if (shard === present || !shard.isSending(this.#isIn(partition))) former.delete(shard);
    }
    if (former.size === 0) this.#leaving.delete(partition);
    return former.size > 0;
  }

  #isPassing(lane: Lane): boolean {
    const { clock, commandTimeoutMs } = this.#options;
    return isPassing(lane, clock.nowMs(), commandTimeoutMs);
  }

  #isIn(partition: number): (room: string) => boolean {
    const { keys } = this.#options;
    return (room) => keys.partitionOf(room) === partition;
  }

  #byPartition(batches: readonly RoomBatch[]): Map<number, RoomBatch[]> {
    const groups = new Map<number, RoomBatch[]>();
    for (const batch of batches) {
      const partition = this.#options.keys.partitionOf(batch.room);
      const group = groups.get(partition);
      if (group === undefined) groups.set(partition, [batch]);
      else group.push(batch);
    }
    return groups;
  }
}
