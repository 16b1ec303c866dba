/**
 * The masters of a Redis Cluster: opens and closes a `Shard` for each, and sends what is about a room to the one that has its
 * partition. While a partition moves, what is published for it is held and what is asked is asked again.
 */
import type { RedisAddress } from '../../../util/redis-url.ts';
import { systemScheduler, type Timer } from '../../../util/scheduler.ts';
import {
  BackplaneError,
  type BackplaneStatus,
  type Place,
  type PublishRequest,
  SHUTTING_DOWN,
  unavailable,
} from '../../backplane.ts';
import type { RoomBatch } from '../../room-batch.ts';
import type { Part } from '../lineage/lineages.ts';
import { isNotRun } from '../link/redis-errors.ts';
import { type Replication, readReplication } from '../link/replication.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import type { OneShardOptions } from '../shard/one-shard.ts';
import { Shard, SIGNALS_MISSING } from '../shard/shard.ts';
import type { Shards, ShardsEvents } from '../shard/shards.ts';
import type { ServedPlaces } from '../start/rights.ts';
import { untilUsable } from '../start/start-checks.ts';
import { addressOf, askView, firstView, searchView } from './first-view.ts';
import { HeldBatches } from './held-batches.ts';
import { Member } from './member.ts';
import { type ClusterView, isFailover, type Master, type SlotMap } from './slot-map.ts';
import { Topology } from './topology.ts';

export interface ClusterShardsOptions extends Omit<OneShardOptions, 'address'> {
  /** Servers to ask first. All others are reached with the user and password of the first. */
  readonly seeds: readonly [RedisAddress, ...RedisAddress[]];
}

/** Of one partition, or of what is one for the whole cluster. */
interface Lane {
  readonly part: Part;
  readonly slot: number;
  /** Null: no master has it. */
  member: Member | null;
}

/** How often what Redis did not run is tried again. */
const RETRY_MS = 20;
/** For masters that are asked about others. */
const PEER_TIMEOUT_MS = 300;

export class ClusterShards implements Shards {
  readonly #options: ClusterShardsOptions;
  readonly #events: ShardsEvents;
  readonly #topology: Topology;
  readonly #held: HeldBatches;
  readonly #lanes: readonly Lane[];
  /** Leases, denials and signals. */
  readonly #control: Lane;
  /** That one first, then those of the partitions. */
  readonly #all: readonly Lane[];
  /** By the id of the server. */
  readonly #members = new Map<string, Member>();
  readonly #closing = new AbortController();
  /** Partitions that another master had, where something may still be in flight. */
  readonly #leaving = new Map<number, Shard>();
  /** Rooms that are asked for, perhaps again and again: one that is given up meanwhile is asked for no more. */
  readonly #subscribing = new Set<string>();
  #map: SlotMap | null = null;
  #retries: Timer | undefined;
  /** Null until the start is over. */
  #wasReady: boolean | null = null;

  constructor(options: ClusterShardsOptions, events: ShardsEvents) {
    this.#options = options;
    this.#events = events;
    const { keys, clock, commandTimeoutMs } = options;
    this.#held = new HeldBatches({ clock, maxWaitMs: commandTimeoutMs });
    this.#lanes = Array.from({ length: keys.partitions }, (_, partition) => ({
      part: partition,
      slot: keys.slotOfPartition(partition),
      member: null,
    }));
    this.#control = { part: null, slot: keys.slotOfNodes, member: null };
    this.#all = [this.#control, ...this.#lanes];
    this.#topology = this.#buildTopology();
  }

  async start(): Promise<void> {
    const signal = this.#closing.signal;
    let view: ClusterView | null = null;
    const startedAtMs = this.#options.clock.nowMs();
    await untilUsable({ ...this.#options, signal }, async () => {
      const found = await firstView({ ...this.#options, signal });
      if ('problem' in found) return found.problem;
      view = found.view;
      return null;
    });
    this.#topology.start(view!);
    const deadlineMs = startedAtMs + Math.max(1_000, this.#options.startupTimeoutMs);
    while (!this.status().ready) {
      if (signal.aborted) throw unavailable('connect', SHUTTING_DOWN);
      if (this.#options.clock.nowMs() >= deadlineMs) {
        throw unavailable('connect', this.status().reason ?? 'the Redis Cluster is not usable');
      }
      await pause(RETRY_MS);
    }
    this.#wasReady = true;
  }

  // ---- calls -----------------------------------------------------------------------------------------------

  ask<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#retried(place, (shard) => shard.ask(work, stage), stage);
  }

  askRead<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#retried(place, (shard) => shard.askRead(work, stage), stage);
  }

  grouped<T>(items: readonly T[], roomOf: (item: T) => string): readonly (readonly T[])[] {
    const groups = new Map<Member | null, T[]>();
    for (const item of items) {
      const { member } = this.#laneOf(roomOf(item));
      const group = groups.get(member);
      if (group === undefined) groups.set(member, [item]);
      else group.push(item);
    }
    return [...groups.values()];
  }

  /** Again while Redis says that it did not run the call, by the map of that moment. */
  async #retried<T>(place: Place, call: (shard: Shard) => Promise<T>, stage: string): Promise<T> {
    const deadlineMs = this.#options.clock.nowMs() + this.#options.commandTimeoutMs;
    while (true) {
      const lane = this.#laneOf(place);
      try {
        return await call(this.#usable(lane, stage).shard);
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        if (
          !(error instanceof BackplaneError) ||
          !this.#mayPass(error, lane) ||
          this.#options.clock.nowMs() + RETRY_MS > deadlineMs
        )
          throw error;
        this.#topology.hint();
        await pause(RETRY_MS);
      }
    }
  }

  #mayPass(error: BackplaneError, lane: Lane): boolean {
    return isNotRun(error) || error.message === SIGNALS_MISSING || this.#isArriving(lane);
  }

  #usable(lane: Lane, stage: string): Member {
    const { member, slot } = lane;
    if (member === null) throw unavailable(stage, `no master of the Redis Cluster has slot ${slot}`);
    const problem = member.isDown ? member.problem() : null;
    if (problem !== null) throw unavailable(stage, problem);
    if (isSettling(lane)) throw unavailable(stage, `slot ${slot} has just come to ${member.shard.address}`);
    return member;
  }

  /** Whether its links are being made: then it is waited for. */
  #isArriving(lane: Lane): boolean {
    const { member } = lane;
    if (member === null || isSettling(lane)) return true;
    const sinceMs = this.#options.clock.nowMs() - member.openedAtMs;
    return member.shard.problem() !== null && sinceMs < this.#options.commandTimeoutMs;
  }

  #laneOf(place: Place): Lane {
    return place === null ? this.#control : this.#lanes[this.#options.keys.partitionOf(place)]!;
  }

  // ---- publishing ------------------------------------------------------------------------------------------

  publish(request: PublishRequest): void {
    const partition = this.#options.keys.partitionOf(request.room);
    const lane = this.#lanes[partition]!;
    const { member } = lane;
    const isHeld = this.#held.isHeld(partition) || isSettling(lane);
    if (member === null || member.isDown || isHeld) this.#hold(partition, request);
    // After the start and after a failover the links to a master are still being made.
    else if (!member.shard.isUp && this.#isArriving(lane)) this.#hold(partition, request);
    else member.shard.publish(request);
  }

  #hold(partition: number, request: PublishRequest): void {
    const lane = this.#lanes[partition]!;
    const refusal = this.#closing.signal.aborted
      ? SHUTTING_DOWN
      : (lane.member?.isDown && lane.member.problem()) || null;
    if (refusal !== null) {
      const error = unavailable('publish', refusal);
      return systemScheduler.atEndOfTurn(() => request.settled(error, '', 0, false));
    }
    this.#held.hold(partition);
    this.#held.push(partition, request);
    this.#retryLater();
  }

  /** A server did not run these: they come before all that waits of their partitions. */
  #notRun(shard: Shard, batches: readonly RoomBatch[]): void {
    const { keys } = this.#options;
    for (const [partition, own] of byPartition(batches, (room) => keys.partitionOf(room))) {
      const younger = shard.withdraw((room) => keys.partitionOf(room) === partition);
      if (!this.#held.isHeld(partition)) this.#held.append(partition, younger);
      else if (younger.length > 0) this.#held.prepend(partition, younger);
      this.#held.prepend(partition, own);
    }
    this.#options.metrics.batchesHeld(batches.length);
    this.#topology.hint();
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#closing.signal.aborted) return;
    this.#retries ??= systemScheduler.every(RETRY_MS, () => this.#retry());
  }

  /** Sends what is held to the masters that can take it now. */
  #retry(): void {
    this.#held.expire((partition) => this.#problemOf(this.#lanes[partition]!) ?? 'waited too long for Redis');
    for (const partition of this.#held.partitions) this.#tryRelease(partition);
    if (!this.#held.isEmpty) return this.#topology.hint();
    this.#retries?.cancel();
    this.#retries = undefined;
  }

  #tryRelease(partition: number): void {
    const lane = this.#lanes[partition]!;
    if (lane.member === null || lane.member.isDown || isSettling(lane)) return;
    if (lane.member.shard.problem() !== null && this.#isArriving(lane)) return;
    const former = this.#leaving.get(partition);
    // What is in flight there may have to come first.
    if (former?.isSending(this.#isIn(partition)) === true) return;
    this.#leaving.delete(partition);
    lane.member.shard.append(this.#held.release(partition));
  }

  #isIn(partition: number): (room: string) => boolean {
    const { keys } = this.#options;
    return (room) => keys.partitionOf(room) === partition;
  }

  // ---- rooms -----------------------------------------------------------------------------------------------

  async subscribe(room: string): Promise<void> {
    this.#subscribing.add(room);
    const subscribe = ({ subscriptions }: Shard) => {
      if (!this.#subscribing.has(room))
        throw unavailable('subscribe', 'the room was unsubscribed before the reply');
      return subscriptions.subscribe(room);
    };
    try {
      await this.#retried(room, subscribe, 'subscribe');
    } finally {
      this.#subscribing.delete(room);
    }
  }

  async resubscribe(room: string): Promise<void> {
    return this.#retried(room, ({ subscriptions }) => subscriptions.resubscribe(room), 'subscribe');
  }

  unsubscribe(room: string): void {
    this.#subscribing.delete(room);
    this.#laneOf(room).member?.shard.subscriptions.unsubscribe(room);
  }

  async subscribers(room: string): Promise<number> {
    return this.#retried(room, (shard) => shard.subscribers(room), 'subscribe');
  }

  async heard(room: string): Promise<void> {
    return this.#retried(room, ({ subscriptions }) => subscriptions.heard(), 'subscribe');
  }

  async signal(text: string): Promise<void> {
    return this.#retried(null, (shard) => shard.signal(text), 'signal');
  }

  // ---- state -----------------------------------------------------------------------------------------------

  problem(place: Place): string | null {
    return this.#problemOf(this.#laneOf(place));
  }

  #problemOf({ member, slot }: Lane): string | null {
    return member === null ? `no master of the Redis Cluster has slot ${slot}` : member.problem();
  }

  /** Ready while most partitions are served, and what is one for the whole cluster. */
  status(): BackplaneStatus {
    const reasons = new Map<Member | null, string | null>();
    let served = 0;
    for (const lane of this.#all) {
      const { member } = lane;
      if (!reasons.has(member))
        reasons.set(member, member === null ? this.#problemOf(lane) : member.reason());
      if (lane !== this.#control && reasons.get(member) === null) served++;
    }
    const ready = reasons.get(this.#control.member) === null && served * 2 > this.#lanes.length;
    const shown = [...reasons].flatMap(([member, reason]) =>
      reason === null ? [] : [shownReason(member, reason)],
    );
    return ready ? { ready, reason: null, degraded: shown } : { ready, reason: shown.join('; ') };
  }

  stop(): void {
    this.#closing.abort();
    this.#topology.stop();
    this.#retries?.cancel();
    for (const { shard } of this.#members.values()) shard.stop();
  }

  close(): void {
    this.#held.close(SHUTTING_DOWN);
    for (const { shard } of this.#members.values()) shard.close();
  }

  // ---- who has what ----------------------------------------------------------------------------------------

  #buildTopology(): Topology {
    const { seeds, tls, commandTimeoutMs } = this.#options;
    return new Topology({
      servers: () => [...this.#members].filter(([, { shard }]) => shard.isUp).map(([id]) => id),
      ask: async (id) => {
        const member = this.#members.get(id);
        if (member === undefined) throw new Error('not a master any more');
        return member.shard.ask(({ redis }) => askView(redis, member.master.host), 'connect');
      },
      search: () => {
        const known = [...(this.#map?.servers.values() ?? [])].map((server) => addressOf(server, seeds[0]));
        return searchView([...known, ...seeds], tls, Math.min(1_000, commandTimeoutMs));
      },
      isTroubled: () => this.#isTroubled(),
      read: (map) => this.#follow(map),
    });
  }

  #isTroubled(): boolean {
    return this.#all.some(
      (lane) => lane.member === null || lane.member.problem() !== null || isSettling(lane),
    );
  }

  #follow(map: SlotMap): void {
    this.#options.metrics.slotMapRead();
    const before = this.#map;
    this.#map = map;
    const needed = new Set(this.#all.map(({ slot }) => map.owner(slot)));
    for (const master of needed) if (master !== null) this.#keepOpen(master, map);
    for (const [from, partitions] of this.#reroute(map)) this.#moved(from, partitions);
    for (const member of this.#members.values()) {
      member.isDown = map.down.has(member.master.id);
      member.shard.serve(this.#servedBy(member.master, map, member.shard.served?.partition));
    }
    for (const [id, member] of this.#members) {
      if (![...needed].some((master) => master?.id === id)) this.#retire(member, before, map);
    }
    this.#settleArrivals();
    this.#review();
    if (!this.#held.isEmpty) this.#retry();
  }

  #keepOpen(master: Master, map: SlotMap): void {
    const known = this.#members.get(master.id);
    if (known !== undefined && known.master.host === master.host && known.master.port === master.port) {
      known.master = master;
      return;
    }
    const member = this.#open(master, map);
    this.#members.set(master.id, member);
    if (known !== undefined) this.#replace(known, member);
  }

  /** The server has another address now: the same data, other links. */
  #replace(known: Member, member: Member): void {
    const partitions = this.#lanes.flatMap((lane, partition) => (lane.member === known ? [partition] : []));
    for (const lane of this.#all) if (lane.member === known) lane.member = member;
    this.#moved(known, new Set(partitions));
    member.shard.subscriptions.takeOver(known.shard.subscriptions, () => true);
    known.shard.stop();
    known.shard.close('the server has another address');
    this.#options.metrics.shardGone(known.shard.address);
  }

  #open(master: Master, map: SlotMap): Member {
    const { seeds, keys, clock } = this.#options;
    const address = addressOf(master, seeds[0]);
    const served = this.#servedBy(master, map);
    const shard: Shard = new Shard(
      {
        ...this.#options,
        ...{ keys, address, isCluster: true, served },
        has: { parts: () => this.#partsOf(shard), others: () => this.#others(shard) },
      },
      {
        envelope: (room, envelope) => this.#events.envelope(room, envelope),
        presence: (room, changes) => this.#events.presence(room, changes),
        signal: (text) => this.#events.signal(text),
        resumed: (has) =>
          this.#events.resumed(
            (place) => this.#laneOf(place).member?.shard === shard && (has?.(place) ?? true),
          ),
        changed: () => this.#changed(),
        notRun: (batches) => this.#notRun(shard, batches),
        misplaced: () => this.#topology.hint(),
      },
    );
    // What it tells needs the member that it belongs to.
    systemScheduler.atEndOfTurn(() => {
      if (!this.#closing.signal.aborted) shard.open();
    });
    return new Member(master, shard, clock.nowMs());
  }

  /** `kept`: the partition that it was tried on before, if it still has it. */
  #servedBy({ id }: Master, map: SlotMap, kept = 0): ServedPlaces {
    const has = ({ slot }: Lane) => map.owner(slot)?.id === id;
    const partition = has(this.#lanes[kept]!) ? kept : Math.max(0, this.#lanes.findIndex(has));
    return { partition, hasNodes: has(this.#control) };
  }

  /** Points lanes to their masters. Returns what moved, by the master that had it; -1 is what is one for the whole cluster. */
  #reroute(map: SlotMap): Map<Member, Set<number>> {
    const moved = new Map<Member, Set<number>>();
    this.#all.forEach((lane, i) => {
      const owner = map.owner(lane.slot);
      const member = owner === null ? null : (this.#members.get(owner.id) ?? null);
      if (member === lane.member) return;
      // Nobody has it for a moment: whoever had it last keeps what is subscribed, and is asked in vain.
      if (member === null) return;
      const former = lane.member;
      lane.member = member;
      member.shard.forget([lane.part]);
      if (former === null) return;
      former.shard.forget([lane.part]);
      const places = moved.get(former) ?? new Set();
      moved.set(former, places.add(i - 1));
    });
    return moved;
  }

  #moved(from: Member, partitions: ReadonlySet<number>): void {
    const { keys } = this.#options;
    const withdrawn = from.shard.withdraw((room) => partitions.has(keys.partitionOf(room)));
    const waiting = byPartition(withdrawn, (room) => keys.partitionOf(room));
    for (const partition of partitions) {
      if (partition < 0) continue;
      // Older than what is held already, if anything is.
      this.#held.prepend(partition, waiting.get(partition) ?? []);
      this.#leaving.set(partition, from.shard);
    }
    this.#retryLater();
    const heirs = new Set([...partitions].map((partition) => this.#at(partition).member));
    for (const heir of heirs) {
      if (heir === null) continue;
      const isMoved = (place: Place) => {
        const partition = place === null ? -1 : keys.partitionOf(place);
        return partitions.has(partition) && this.#at(partition).member === heir;
      };
      heir.shard.subscriptions.takeOver(from.shard.subscriptions, isMoved);
    }
    this.#options.metrics.partitionsMoved(partitions.size);
    this.#options.log.info(
      { from: from.shard.address, partitions: partitions.size },
      'partitions moved to another master',
    );
  }

  #at(partition: number): Lane {
    return partition < 0 ? this.#control : this.#lanes[partition]!;
  }

  /**
   * It has nothing any more. A master that was replaced may be frozen: when it wakes it would take what waits in its socket and say that
   * it is stored. One that gave its slots away answers what is in flight.
   */
  #retire(member: Member, before: SlotMap | null, map: SlotMap): void {
    const { shard, master } = member;
    const isReplaced = before !== null && isFailover(before, map, master);
    if (!isReplaced && shard.isSending(() => true)) return;
    this.#members.delete(master.id);
    shard.stop();
    shard.close('another master took over');
    this.#options.metrics.shardGone(shard.address);
  }

  /** Partitions that came to a master whose links are up. */
  #settleArrivals(): void {
    for (const member of this.#members.values()) {
      const parts = this.#partsOf(member.shard).filter((part) => !member.shard.hasSettled(part));
      if (parts.length === 0 || member.isSettling || member.shard.problem() !== null) continue;
      member.isSettling = true;
      member.shard
        .settle(parts)
        .then(
          () => this.#retryLater(),
          (error: Error) => this.#options.log.debug({ error: error.message }, 'cannot settle partitions yet'),
        )
        .finally(() => {
          member.isSettling = false;
        });
    }
  }

  #partsOf(shard: Shard): Part[] {
    return this.#all.flatMap(({ part, member }) => (member?.shard === shard ? [part] : []));
  }

  /** What the other masters say of their replication: those that answer at once. */
  async #others(shard: Shard): Promise<Replication[]> {
    const asking = [...this.#members.values()].map(async (member) => {
      if (member.shard === shard) return [];
      const late = pause(PEER_TIMEOUT_MS).then(() => '');
      const info = member.shard.ask(({ redis }) => redis.info(), 'connect').catch(() => '');
      const said = await Promise.race([info, late]);
      return said === '' ? [] : [readReplication(said)];
    });
    return (await Promise.all(asking)).flat();
  }

  #changed(): void {
    this.#settleArrivals();
    this.#topology.hint();
    this.#review();
    this.#events.changed();
    if (!this.#held.isEmpty) this.#retry();
  }

  #review(): void {
    for (const member of this.#members.values()) {
      const partitions = this.#lanes.filter((lane) => lane.member === member).length;
      this.#options.metrics.shardState(member.shard.address, member.reason() === null, partitions);
    }
    const { ready, reason } = this.status();
    if (this.#wasReady === null || ready === this.#wasReady) return;
    this.#wasReady = ready;
    if (ready) this.#options.log.info({}, 'backplane is ready again');
    else this.#options.log.warn({ reason }, 'backplane is not ready');
  }
}

/** Whether its master is there, and it is not known yet what it lacks. */
function isSettling({ part, member }: Lane): boolean {
  return member?.shard.isUp === true && !member.shard.hasSettled(part);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => systemScheduler.after(milliseconds, resolve));
}

function byPartition(
  batches: readonly RoomBatch[],
  partitionOf: (room: string) => number,
): Map<number, RoomBatch[]> {
  const groups = new Map<number, RoomBatch[]>();
  for (const batch of batches) {
    const partition = partitionOf(batch.room);
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [batch]);
    else group.push(batch);
  }
  return groups;
}

function shownReason(member: Member | null, reason: string): string {
  if (member === null || reason.includes(member.shard.address)) return reason;
  return `redis ${member.shard.address}: ${reason}`;
}
