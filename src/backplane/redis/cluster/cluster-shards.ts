/**
 * The masters of a Redis Cluster, as one. What is about a room goes to the master that has its partition; while a partition moves,
 * what is published for it is held and what is asked is asked again.
 */
import type { RedisAddress } from '../../../util/redis-url.ts';
import {
  type BackplaneStatus,
  type Place,
  type PublishRequest,
  SHUTTING_DOWN,
  unavailable,
} from '../../backplane.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import type { OneShardOptions } from '../shard/one-shard.ts';
import type { Shard } from '../shard/shard.ts';
import type { Shards, ShardsEvents } from '../shard/shards.ts';
import { untilUsable } from '../start/start-checks.ts';
import { ClusterCalls, pause, RETRY_MS } from './cluster-calls.ts';
import { ClusterPublishing } from './cluster-publishing.ts';
import { askView, firstView, searchViews } from './first-view.ts';
import { type Lane, Lanes, laneProblem } from './lanes.ts';
import { Masters } from './masters.ts';
import type { Member } from './member.ts';
import { Moves } from './moves.ts';
import type { ClusterView, SlotMap } from './slot-map.ts';
import { Topology } from './topology.ts';

export interface ClusterShardsOptions extends Omit<OneShardOptions, 'address'> {
  /** Servers to ask first. All others are reached with the user and password of the first. */
  readonly seeds: readonly [RedisAddress, ...RedisAddress[]];
}

/** For the links, once the cluster is known to be there. */
const MIN_LINKS_MS = 1_000;
const MAX_SEARCH_MS = 1_000;

export class ClusterShards implements Shards {
  readonly #options: ClusterShardsOptions;
  readonly #events: ShardsEvents;
  readonly #closing = new AbortController();
  readonly #lanes: Lanes;
  readonly #calls: ClusterCalls;
  readonly #publishing: ClusterPublishing;
  readonly #masters: Masters;
  readonly #moves: Moves;
  readonly #topology: Topology;
  /** Rooms that are asked for, perhaps again and again: one that is given up meanwhile is asked for no more. */
  readonly #subscribing = new Set<string>();
  /** Null until the start is over. */
  #wasReady: boolean | null = null;

  constructor(options: ClusterShardsOptions, events: ShardsEvents) {
    this.#options = options;
    this.#events = events;
    this.#lanes = new Lanes(options.keys);
    const own = { lanes: this.#lanes, signal: this.#closing.signal, hint: () => this.#topology.hint() };
    this.#calls = new ClusterCalls({ ...options, ...own });
    this.#publishing = new ClusterPublishing({ ...options, ...own });
    this.#masters = this.#buildMasters();
    this.#moves = new Moves({ ...options, ...own, masters: this.#masters, publishing: this.#publishing });
    this.#topology = this.#buildTopology();
  }

  async start(): Promise<void> {
    const signal = this.#closing.signal;
    let view: ClusterView | null = null;
    await untilUsable({ ...this.#options, signal }, async () => {
      const found = await firstView({ ...this.#options, signal });
      if ('problem' in found) return found.problem;
      view = found.view;
      return null;
    });
    this.#topology.start(view!);
    const deadlineMs = this.#options.clock.nowMs() + Math.max(MIN_LINKS_MS, this.#options.startupTimeoutMs);
    while (!this.status().ready) {
      if (signal.aborted) throw unavailable('connect', SHUTTING_DOWN);
      if (this.#options.clock.nowMs() >= deadlineMs) {
        throw unavailable('connect', this.status().reason ?? 'the Redis Cluster is not usable');
      }
      await pause(RETRY_MS);
    }
    this.#wasReady = true;
  }

  ask<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#calls.ask(place, work, stage);
  }

  askRead<T>(place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#calls.askRead(place, work, stage);
  }

  grouped<T>(items: readonly T[], roomOf: (item: T) => string): readonly (readonly T[])[] {
    return this.#calls.grouped(items, roomOf);
  }

  publish(request: PublishRequest): void {
    this.#publishing.publish(request);
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
      await this.#calls.retried(room, subscribe, 'subscribe');
    } finally {
      this.#subscribing.delete(room);
    }
  }

  async resubscribe(room: string): Promise<void> {
    return this.#calls.retried(room, ({ subscriptions }) => subscriptions.resubscribe(room), 'subscribe');
  }

  unsubscribe(room: string): void {
    this.#subscribing.delete(room);
    this.#lanes.of(room).member?.shard.subscriptions.unsubscribe(room);
  }

  async subscribers(room: string): Promise<number> {
    return this.#calls.retried(room, (shard) => shard.subscribers(room), 'subscribe');
  }

  async heard(room: string): Promise<void> {
    return this.#calls.retried(room, ({ subscriptions }) => subscriptions.heard(room), 'subscribe');
  }

  async signal(text: string): Promise<void> {
    return this.#calls.retried(null, (shard) => shard.signal(text), 'signal');
  }

  // ---- state -----------------------------------------------------------------------------------------------

  problem(place: Place): string | null {
    return laneProblem(this.#lanes.of(place));
  }

  /** Ready while most partitions are served, and what is one for the whole cluster. */
  status(): BackplaneStatus {
    const { all, control, partitions } = this.#lanes;
    const reasons = new Map<Member | null, string>();
    const isServed = (lane: Lane) => {
      const reason = lane.member === null ? laneProblem(lane) : lane.member.reason();
      if (reason !== null) reasons.set(lane.member, reason);
      return reason === null || this.#isAwaited(lane);
    };
    const served = new Set(all.filter(isServed));
    const ready = served.has(control) && (served.size - 1) * 2 > partitions.length;
    const shown = [...reasons].map(([member, reason]) => shownReason(member, reason));
    return ready ? { ready, reason: null, degraded: shown } : { ready, reason: shown.join('; ') };
  }

  /** Whether its master has taken over just now: while links are made, what comes for it waits, and nothing is refused. */
  #isAwaited({ member }: Lane): boolean {
    if (this.#wasReady === null || member === null) return false;
    return member.isArriving(this.#options.clock.nowMs(), this.#options.commandTimeoutMs);
  }

  stop(): void {
    this.#closing.abort();
    this.#topology.stop();
    this.#publishing.stop();
    this.#masters.stop();
  }

  close(): void {
    this.#publishing.close();
    this.#masters.closeAll();
  }

  // ---- what changes ----------------------------------------------------------------------------------------

  #buildMasters(): Masters {
    const { seeds } = this.#options;
    const own = { lanes: this.#lanes, seed: seeds[0], signal: this.#closing.signal };
    return new Masters(
      { ...this.#options, ...own },
      {
        ...this.#events,
        changed: () => this.#changed(),
        notRun: (shard, batches) => this.#publishing.notRun(shard, batches),
        misplaced: () => this.#topology.hint(),
        settled: () => this.#publishing.retryLater(),
      },
    );
  }

  #buildTopology(): Topology {
    const { seeds, tls, commandTimeoutMs } = this.#options;
    return new Topology({
      servers: () => this.#masters.all.filter(({ shard }) => shard.isUp).map(({ master }) => master.id),
      ask: async (id) => {
        const member = this.#masters.of(id);
        if (member === null) throw new Error('not a master any more');
        return member.shard.ask(({ redis }) => askView(redis, member.master.host), 'connect');
      },
      search: (known) =>
        searchViews(known, { seeds, tls, timeoutMs: Math.min(MAX_SEARCH_MS, commandTimeoutMs) }),
      isTroubled: () => this.#lanes.isTroubled,
      read: (map) => this.#follow(map),
    });
  }

  #follow(map: SlotMap): void {
    this.#options.metrics.slotMapRead();
    this.#moves.follow(map);
    this.#masters.settleArrivals();
    this.#review();
    this.#publishing.retryNow();
  }

  #changed(): void {
    this.#masters.settleArrivals();
    this.#topology.hint();
    this.#review();
    this.#events.changed();
    this.#publishing.retryNow();
  }

  #review(): void {
    this.#masters.review(this.#options.clock.nowMs());
    for (const member of this.#masters.all) {
      const partitions = this.#lanes.partitions.filter((lane) => lane.member === member).length;
      this.#options.metrics.shardState(member.shard.address, member.reason() === null, partitions);
    }
    const { ready, reason } = this.status();
    if (this.#wasReady === null || ready === this.#wasReady) return;
    this.#wasReady = ready;
    if (ready) this.#options.log.info({}, 'backplane is ready again');
    else this.#options.log.warn({ reason }, 'backplane is not ready');
  }
}

function shownReason(member: Member | null, reason: string): string {
  if (member === null || reason.includes(member.shard.address)) return reason;
  return `redis ${member.shard.address}: ${reason}`;
}
