/** A master of the cluster that nodes write to, and what it has. */
import type { Shard } from '../shard/shard.ts';
import type { Master } from './slot-map.ts';

export class Member {
  /** As the map last named it. */
  master: Master;
  readonly shard: Shard;
  readonly openedAtMs: number;
  /** Since when it cannot be called, as far as was noticed, or null. */
  troubledSinceMs: number | null;
  /** When another server took over from it, or null. */
  replacedAtMs: number | null = null;
  /** It says that the cluster is down: then what it hears and sends proves nothing. */
  isDown = false;
  /** Partitions that came to it are being settled. */
  isSettling = false;

  #hasServed = false;

  constructor(master: Master, shard: Shard, openedAtMs: number) {
    this.master = master;
    this.shard = shard;
    this.openedAtMs = openedAtMs;
    this.troubledSinceMs = openedAtMs;
  }

  /** Why it cannot be called now, or null. */
  problem(): string | null {
    return this.shard.problem() ?? this.#clusterProblem();
  }

  /** Looks whether it can be called and relied on. */
  review(nowMs: number): void {
    this.#hasServed ||= this.reason() === null;
    if (this.problem() === null) this.troubledSinceMs = null;
    else this.troubledSinceMs ??= nowMs;
  }

  /** Why nodes should not rely on it, or null. */
  reason(): string | null {
    return this.shard.status().reason ?? this.#clusterProblem();
  }

  /** Whether it has just come, and its links are being made: what is for it waits. */
  isArriving(nowMs: number, maxWaitMs: number): boolean {
    return !this.#hasServed && nowMs - this.openedAtMs < maxWaitMs;
  }

  #clusterProblem(): string | null {
    return this.isDown ? `redis ${this.shard.address}: the cluster is down (cluster_state:fail)` : null;
  }
}
