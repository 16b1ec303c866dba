/** Which master has what: a lane for each partition, and one for what the whole cluster shares (leases, denials, signals). */
import type { Place } from '../../backplane.ts';
import type { Keys } from '../keys/keys.ts';
import type { Part } from '../lineage/records.ts';
import type { Shard } from '../shard/shard.ts';
import type { Member } from './member.ts';

export interface Lane {
  readonly part: Part;
  readonly slot: number;
  /** Null: no master has it. */
  member: Member | null;
}

export class Lanes {
  readonly #keys: Keys;
  readonly partitions: readonly Lane[];
  /** Leases, denials and signals. */
  readonly control: Lane;
  /** That one first, then those of the partitions. */
  readonly all: readonly Lane[];

  constructor(keys: Keys) {
    this.#keys = keys;
    this.partitions = Array.from({ length: keys.partitions }, (_, partition) => ({
      part: partition,
      slot: keys.slotOfPartition(partition),
      member: null,
    }));
    this.control = { part: null, slot: keys.slotOfNodes, member: null };
    this.all = [this.control, ...this.partitions];
  }

  of(place: Place): Lane {
    return this.ofPart(place === null ? null : this.#keys.partitionOf(place));
  }

  ofPart(part: Part): Lane {
    return part === null ? this.control : this.partitions[part]!;
  }

  /** What the server has. */
  partsOf(shard: Shard): Part[] {
    return this.all.flatMap(({ part, member }) => (member?.shard === shard ? [part] : []));
  }

  get isTroubled(): boolean {
    return this.all.some((lane) => laneProblem(lane) !== null || isSettling(lane));
  }
}

/** Why nothing of it can be asked now, or null. */
export function laneProblem({ member, slot }: Lane): string | null {
  return member === null ? `no master of the Redis Cluster has slot ${slot}` : member.problem();
}

/** Whether its master can be reached, but it is not settled yet whether the master lacks writes. */
export function isSettling({ part, member }: Lane): boolean {
  return member?.shard.isUp === true && !member.shard.hasSettled(part);
}

/**
 * Whether calls to this lane wait although it cannot be asked now: its master is being connected to, hands over, or was lost just now.
 * Calls to a master that has been away for longer are refused at once.
 */
export function isPassing(lane: Lane, nowMs: number, maxWaitMs: number): boolean {
  const { member } = lane;
  if (member === null || isSettling(lane)) return true;
  if (member.problem() === null) return false;
  return member.troubledSinceMs === null || nowMs - member.troubledSinceMs < maxWaitMs;
}
