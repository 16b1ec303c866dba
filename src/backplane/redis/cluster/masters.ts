/** The masters that a node has links to: opens and closes a `Shard` for each, and settles what comes to one. */
import type { RedisAddress } from '../../../util/redis-url.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import type { RoomBatch } from '../../room-batch.ts';
import { type Replication, readReplication } from '../link/replication.ts';
import type { OneShardOptions } from '../shard/one-shard.ts';
import { Shard } from '../shard/shard.ts';
import type { ShardsEvents } from '../shard/shards.ts';
import type { ServedPlaces } from '../start/rights.ts';
import { pause } from './cluster-calls.ts';
import { addressOf } from './first-view.ts';
import type { Lane, Lanes } from './lanes.ts';
import { Member } from './member.ts';
import { type Master, type SlotMap, serverNumber } from './slot-map.ts';
import { Whereabouts } from './whereabouts.ts';

export interface MastersOptions extends Omit<OneShardOptions, 'address'> {
  readonly lanes: Lanes;
  /** All servers are reached with its user and password. */
  readonly seed: RedisAddress;
  /** Aborted when the node closes. */
  readonly signal: AbortSignal;
}

/** What masters tell, with the one that it is about. */
export interface MastersEvents extends ShardsEvents {
  notRun(shard: Shard, batches: readonly RoomBatch[]): void;
  /** A master does not have a slot that it was believed to have. */
  misplaced(): void;
  /** Partitions that came to a master are settled. */
  settled(): void;
}

/** For masters that are asked about others. */
const PEER_TIMEOUT_MS = 300;

export class Masters {
  readonly #options: MastersOptions;
  readonly #events: MastersEvents;
  /** By the id of the server. */
  readonly #members = new Map<string, Member>();
  readonly #whereabouts: Whereabouts;

  constructor(options: MastersOptions, events: MastersEvents) {
    this.#options = options;
    this.#whereabouts = new Whereabouts(options.log);
    this.#events = events;
  }

  get all(): readonly Member[] {
    return [...this.#members.values()];
  }

  of(id: string): Member | null {
    return this.#members.get(id) ?? null;
  }

  /** Has links to a master. Returns the member that it takes the place of, if the server has another address now. */
  keepOpen(master: Master, map: SlotMap): Member | null {
    let known = this.#members.get(master.id);
    if (known !== undefined && known.replacedAtMs !== null) {
      // It has slots again, and its links have ended.
      this.close(known, 'another master took over');
      known = undefined;
    }
    if (known !== undefined && this.#isThere(known, master)) {
      const { host, port } = known.master;
      known.master = { ...master, host, port };
      return null;
    }
    this.#members.set(master.id, this.#open(master, map));
    return known ?? null;
  }

  #isThere(known: Member, told: Master): boolean {
    const { clock, commandTimeoutMs } = this.#options;
    const works = () => known.problem() === null || known.isArriving(clock.nowMs(), commandTimeoutMs);
    return this.#whereabouts.stays(known.master, told, works);
  }

  /** Tells each what it has by this map. */
  serve(map: SlotMap): void {
    for (const member of this.#members.values()) {
      member.isDown = map.down.has(member.master.id);
      member.shard.serve(this.#servedBy(member.master, map, member.shard.served?.partition));
    }
  }

  /** Ends its links. `reason`: why what is in flight may or may not have been stored. */
  close(member: Member, reason: string): void {
    const { shard, master } = member;
    if (this.#members.get(master.id) === member) this.#members.delete(master.id);
    shard.stop();
    shard.close(reason);
    this.#options.metrics.shardGone(shard.address);
  }

  /** Looks who can be called. */
  review(nowMs: number): void {
    for (const member of this.#members.values()) member.review(nowMs);
  }

  stop(): void {
    for (const { shard } of this.#members.values()) shard.stop();
  }

  closeAll(): void {
    for (const { shard } of this.#members.values()) shard.close();
  }

  /** Partitions that came to a master whose links are up. */
  settleArrivals(): void {
    for (const member of this.#members.values()) {
      const parts = this.#options.lanes
        .partsOf(member.shard)
        .filter((part) => !member.shard.hasSettled(part));
      if (parts.length === 0 || member.isSettling || member.shard.problem() !== null) continue;
      member.isSettling = true;
      member.shard
        .settle(parts)
        .then(
          () => this.#events.settled(),
          (error: Error) => this.#options.log.debug({ error: error.message }, 'cannot settle partitions yet'),
        )
        .finally(() => {
          member.isSettling = false;
        });
    }
  }

  #open(master: Master, map: SlotMap): Member {
    const { seed, lanes, clock, signal } = this.#options;
    const address = addressOf(master, seed);
    const served = this.#servedBy(master, map);
    const events = this.#events;
    const shard: Shard = new Shard(
      {
        ...this.#options,
        ...{ address, isCluster: true, served, serverNumber: serverNumber(master.id) },
        has: { parts: () => lanes.partsOf(shard), others: () => this.#others(shard) },
      },
      {
        envelope: (room, envelope) => events.envelope(room, envelope),
        presence: (room, changes) => events.presence(room, changes),
        signal: (text) => events.signal(text),
        resumed: (has) =>
          events.resumed((place) => lanes.of(place).member?.shard === shard && (has?.(place) ?? true)),
        changed: () => events.changed(),
        notRun: (batches) => events.notRun(shard, batches),
        misplaced: () => events.misplaced(),
      },
    );
    // What it tells needs the member that it belongs to.
    systemScheduler.atEndOfTurn(() => {
      if (!signal.aborted) shard.open();
    });
    return new Member(master, shard, clock.nowMs());
  }

  /** `kept`: the partition that it was tried on before, if it still has it. */
  #servedBy({ id }: Master, map: SlotMap, kept: number | null = null): ServedPlaces {
    const { partitions, control } = this.#options.lanes;
    const has = ({ slot }: Lane) => map.owner(slot)?.id === id;
    const isKept = kept !== null && has(partitions[kept]!);
    const first = partitions.findIndex(has);
    return { partition: isKept ? kept : first === -1 ? null : first, hasNodes: has(control) };
  }

  /** What the other masters say of their replication: those that answer at once. */
  async #others(shard: Shard): Promise<Replication[]> {
    const asking = this.all.map(async (member) => {
      if (member.shard === shard) return [];
      const late = pause(PEER_TIMEOUT_MS).then(() => '');
      const info = member.shard.ask(({ redis }) => redis.info(), 'connect').catch(() => '');
      const said = await Promise.race([info, late]);
      return said === '' ? [] : [readReplication(said)];
    });
    return (await Promise.all(asking)).flat();
  }
}
