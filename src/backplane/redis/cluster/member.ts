/** A master of the cluster that nodes write to, and what it has. */
import type { Shard } from '../shard/shard.ts';
import type { Master } from './slot-map.ts';

export class Member {
  /** As the map last named it. */
  master: Master;
  readonly shard: Shard;
  readonly openedAtMs: number;
  /** It says that the cluster is down: then what it hears and sends proves nothing. */
  isDown = false;
  /** Partitions that came to it are being settled. */
  isSettling = false;

  constructor(master: Master, shard: Shard, openedAtMs: number) {
    this.master = master;
    this.shard = shard;
    this.openedAtMs = openedAtMs;
  }

  /** Why it cannot be called now, or null. */
  problem(): string | null {
    return this.shard.problem() ?? this.#clusterProblem();
  }

  /** Why nodes should not rely on it, or null. */
  reason(): string | null {
    return this.shard.status().reason ?? this.#clusterProblem();
  }

  #clusterProblem(): string | null {
    return this.isDown ? `redis ${this.shard.address}: the cluster is down (cluster_state:fail)` : null;
  }
}
