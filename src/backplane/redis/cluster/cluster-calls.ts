/** Asks whichever master has a place, and asks again while Redis says that it did not run the call. */
import type { Clock } from '../../../util/clock.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { BackplaneError, type Place, unavailable } from '../../backplane.ts';
import { isNotRun } from '../link/redis-errors.ts';
import type { ShardAccess, ShardCalls } from '../link/shard-calls.ts';
import { type Shard, SIGNALS_MISSING } from '../shard/shard.ts';
import { isPassing, isSettling, type Lane, type Lanes } from './lanes.ts';
import type { Member } from './member.ts';

export interface ClusterCallsOptions {
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly commandTimeoutMs: number;
  /** Aborted when the node closes. */
  readonly signal: AbortSignal;
  /** Slots may have moved. */
  hint(): void;
}

/** How often what Redis did not run is tried again. */
export const RETRY_MS = 20;

export class ClusterCalls implements ShardCalls {
  readonly #options: ClusterCallsOptions;

  constructor(options: ClusterCallsOptions) {
    this.#options = options;
  }

  ask<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.retried(place, (shard) => shard.ask(work, stage), stage);
  }

  askRead<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.retried(place, (shard) => shard.askRead(work, stage), stage);
  }

  grouped<T>(items: readonly T[], roomOf: (item: T) => string): readonly (readonly T[])[] {
    const groups = new Map<Member | null, T[]>();
    for (const item of items) {
      const { member } = this.#options.lanes.of(roomOf(item));
      const group = groups.get(member);
      if (group === undefined) groups.set(member, [item]);
      else group.push(item);
    }
    return [...groups.values()];
  }

  /** Goes by the map of each moment, until the time for a command is over. */
  async retried<T>(place: Place, call: (shard: Shard) => Promise<T>, stage: string): Promise<T> {
    const { lanes, clock, commandTimeoutMs, signal } = this.#options;
    const deadlineMs = clock.nowMs() + commandTimeoutMs;
    while (true) {
      const lane = lanes.of(place);
      try {
        return await call(usable(lane, stage).shard);
      } catch (error) {
        if (signal.aborted) throw error;
        const isLast = clock.nowMs() + RETRY_MS > deadlineMs;
        if (isLast || !this.#mayPass(error, lane)) throw error;
        this.#options.hint();
        await pause(RETRY_MS);
      }
    }
  }

  #mayPass(error: unknown, lane: Lane): boolean {
    const { clock, commandTimeoutMs } = this.#options;
    // What may have been done is not done again.
    if (!(error instanceof BackplaneError) || error.code !== 'unavailable') return false;
    if (isNotRun(error) || error.message === SIGNALS_MISSING) return true;
    return isPassing(lane, clock.nowMs(), commandTimeoutMs);
  }
}

function usable(lane: Lane, stage: string): Member {
  const { member, slot } = lane;
  if (member === null) throw unavailable(stage, `no master of the Redis Cluster has slot ${slot}`);
  const problem = member.isDown ? member.problem() : null;
  if (problem !== null) throw unavailable(stage, problem);
  if (isSettling(lane)) throw unavailable(stage, `slot ${slot} has just come to ${member.shard.address}`);
  return member;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => systemScheduler.after(milliseconds, resolve));
}
