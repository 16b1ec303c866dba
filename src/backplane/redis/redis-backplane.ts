/** Connects many nodes through Redis: assembles the parts of this folder. */
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../../util/clock.ts';
import { randomId } from '../../util/ids.ts';
import type { Logger } from '../../util/log.ts';
import { bySentinels, type RedisAddress, redisAddresses } from '../../util/redis-url.ts';
import type { Acks } from '../acks.ts';
import {
  type Backplane,
  type BackplaneEvents,
  type BackplaneStatus,
  EMPTY_META_TTL_MS,
  type HistoryPage,
  type NewestPage,
  type PublishRequest,
  type ReadOptions,
  type RoomPosition,
} from '../backplane.ts';
import { type Denials, MAX_DENIALS } from '../denials.ts';
import { ID_BYTES } from '../envelope.ts';
import type { HistoryPolicy } from '../history-policy.ts';
import type { BackplaneMetrics } from '../metrics.ts';
import { RedisAcks } from './acks/redis-acks.ts';
import { ClusterShards } from './cluster/cluster-shards.ts';
import { RedisDenials } from './denials/redis-denials.ts';
import { Keys } from './keys/keys.ts';
import { Lineages } from './lineage/lineages.ts';
import { errorFromCall } from './link/redis-errors.ts';
import { onTrial } from './link/server-options.ts';
import type { ShardAccess } from './link/shard-calls.ts';
import { RedisPresence } from './presence/redis-presence.ts';
import { readHistory } from './reads/history.ts';
import { readNewest } from './reads/newest.ts';
import { clearScript, renewScript } from './scripts/scripts.ts';
import { OneShard } from './shard/one-shard.ts';
import type { Shards, ShardsEvents } from './shard/shards.ts';

export interface RedisBackplaneOptions {
  /** `redis://` or, with TLS, `rediss://`; may contain user, password and database. Of a cluster several, with commas between them. */
  readonly url: string;
  /** Whether it is a Redis Cluster. Default false. */
  readonly cluster?: boolean;
  /** URLs of Sentinels, with commas between them: then the host of `url` is not used. */
  readonly sentinels?: string | null;
  /** By which they know the primary. Default `mymaster`. */
  readonly sentinelName?: string;
  readonly tls?: ConnectionOptions;
  /**
   * Nodes of one cluster share prefix and number of partitions (1 to 16384); clusters on one Redis do not.
   */
  readonly keyPrefix: string;
  readonly partitions: number;
  /** Calls without a reply within this time count as lost. */
  readonly commandTimeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly dedupWindowMs: number;
  /** How long an unused room keeps its numbering. */
  readonly metaTtlMs: number;
  /** The same for a room that never had a message. Default `EMPTY_META_TTL_MS`; never more than `metaTtlMs`. */
  readonly emptyMetaTtlMs?: number;
  /** How long a room's acks are kept, from the last ack on. */
  readonly acksTtlMs: number;
  /** Maximum denials at once. Default `MAX_DENIALS`. */
  readonly maxDenials?: number;
  /** About how long the presence entries of a dead node outlive it. Default 6 s. */
  readonly leaseMs?: number;
  /** How long a node's list of rooms names those that it left, or that were swept: see `EmptiedRooms`. Default one minute on a cluster, else 0. */
  readonly emptiedMs?: number;
  /**
   * How often the node checks that it receives its own probe, and that Redis accepts its writes. Default 5 s.
   */
  readonly probeIntervalMs?: number;
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
}

const DEFAULT_SENTINEL_NAME = 'mymaster';
const DEFAULT_LEASE_MS = 6_000;
/** A master that the others do not reach takes writes until its `cluster-node-timeout` (15 s), and this node follows its successor soon. */
const EMPTIED_MS = 60_000;
/** For a server that rooms wait for; see `FormerPrimary`. */
const PEER_TIMEOUT_MS = 300;
const NO_HISTORY: HistoryPage = { epoch: '', offset: 0, envelopes: [] };

export class RedisBackplane implements Backplane {
  readonly readsAtOnce = 4;
  readonly presence: RedisPresence;
  readonly acks: Acks;
  readonly denials: Denials;
  readonly #options: RedisBackplaneOptions;
  readonly #keys: Keys;
  readonly #lineages: Lineages;
  readonly #shards: Shards;
  #events: BackplaneEvents | null = null;
  #isClosed = false;

  constructor(options: RedisBackplaneOptions) {
    this.#options = options;
    const [named, ...others] = redisAddresses(options.url);
    const first = bySentinels(named, options.sentinels, options.sentinelName ?? DEFAULT_SENTINEL_NAME);
    this.#keys = new Keys(options.keyPrefix, options.partitions, first.database);
    this.#lineages = this.#buildLineages(first);
    const parts = { ...options, keys: this.#keys, lineages: this.#lineages };
    this.#shards =
      options.cluster === true
        ? new ClusterShards({ ...parts, seeds: [first, ...others] }, this.#shardsEvents())
        : new OneShard({ ...parts, address: first }, this.#shardsEvents());
    this.acks = this.#buildAcks();
    this.denials = this.#buildDenials();
    this.presence = this.#buildPresence();
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.#events = events;
    try {
      await this.#shards.start();
    } catch (error) {
      await this.close();
      throw errorFromCall(error, 'connect');
    }
  }

  publish(request: PublishRequest): void {
    this.#shards.publish(request);
  }

  subscribe(room: string): Promise<void> {
    return this.#shards.subscribe(room);
  }

  resubscribe(room: string): Promise<void> {
    return this.#shards.resubscribe(room);
  }

  unsubscribe(room: string): void {
    this.#shards.unsubscribe(room);
  }

  async read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage> {
    if (history.messages === 0) return NO_HISTORY;
    const { metaTtlMs, metrics } = this.#options;
    const emptyMetaTtlMs = Math.min(this.#options.emptyMetaTtlMs ?? EMPTY_META_TTL_MS, metaTtlMs);
    const epoch = randomId(ID_BYTES);
    const read = async (shard: ShardAccess) => {
      const lineage = shard.lineageOf(room);
      const call = { room, history, options, metaTtlMs, emptyMetaTtlMs, epoch, lineage };
      const page = await readHistory(shard, this.#keys, call, metrics);
      if (page.offset > 0) shard.saw(room, page.epoch, page.offset);
      return page;
    };
    // A position alone is short, and joins wait for it.
    return options.limit === 0
      ? this.#shards.ask(room, read, 'read')
      : this.#shards.askRead(room, read, 'read');
  }

  async readNewest(room: string, history: HistoryPolicy): Promise<NewestPage> {
    const { metrics } = this.#options;
    const key = this.#keys.newest(room);
    const read = (shard: ShardAccess) => readNewest(shard, key, history.ageMs, metrics);
    return this.#shards.askRead(room, read, 'read');
  }

  heard(room: string): Promise<void> {
    return this.#shards.heard(room);
  }

  async renewEpoch(room: string, history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    if (history.messages === 0) return;
    const keys = [this.#keys.meta(room)];
    const next = randomId(ID_BYTES);
    const renew = (shard: ShardAccess) =>
      renewScript.call(shard, keys, [epoch, seen, next, shard.lineageOf(room)], this.#options.metrics);
    await this.#shards.ask(room, renew, 'read');
  }

  async clearHistory(room: string, history: HistoryPolicy): Promise<RoomPosition> {
    if (history.messages === 0) return NO_HISTORY;
    const keys = [this.#keys.meta(room), this.#keys.log(room)];
    const candidate = randomId(ID_BYTES);
    const clear = async (shard: ShardAccess): Promise<RoomPosition> => {
      const args = [candidate, shard.lineageOf(room)];
      const reply = (await clearScript.call(shard, keys, args, this.#options.metrics)) as Buffer[];
      const [epoch, offset] = [reply[0]!.toString(), Number(reply[1]!.toString())];
      if (offset > 0) shard.saw(room, epoch, offset);
      return { epoch, offset };
    };
    return this.#shards.ask(room, clear, 'clear');
  }

  subscribers(room: string): Promise<number> {
    return this.#shards.subscribers(room);
  }

  signal(text: string): Promise<void> {
    return this.#shards.signal(text);
  }

  status(): BackplaneStatus {
    return this.#shards.status();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#shards.stop();
    this.presence.stop();
    this.#shards.close();
  }

  #shardsEvents(): ShardsEvents {
    return {
      envelope: (room, envelope) => this.#events?.envelope(room, envelope),
      presence: (room, changes) => this.presence.arrived(room, changes),
      signal: (text) => this.#events?.signal(text),
      resumed: (has) => this.#events?.resumed(has),
      changed: () => this.presence.available(),
    };
  }

  #buildLineages(address: RedisAddress): Lineages {
    const { tls, clock, log, metrics, nodeId } = this.#options;
    return new Lineages({
      nodeId,
      peers: () => this.presence.peers,
      keys: this.#keys,
      clock,
      log,
      metrics,
      info: ({ host, port }) => {
        const { sentinels: _, ...login } = address;
        const trial = { address: { ...login, host, port }, tls, timeoutMs: PEER_TIMEOUT_MS };
        return onTrial(trial, (redis) => redis.info());
      },
    });
  }

  #buildAcks(): Acks {
    const { acksTtlMs, metaTtlMs, metrics } = this.#options;
    return new RedisAcks({
      shards: this.#shards,
      keys: this.#keys,
      ttlMs: acksTtlMs,
      metaTtlMs,
      metrics,
      epochOf: async (room, history, begin) => (await this.read(room, history, { limit: 0, begin })).epoch,
    });
  }

  #buildDenials(): Denials {
    return new RedisDenials({
      shards: this.#shards,
      keys: this.#keys,
      most: this.#options.maxDenials ?? MAX_DENIALS,
      metrics: this.#options.metrics,
    });
  }

  #buildPresence(): RedisPresence {
    const { clock, leaseMs = DEFAULT_LEASE_MS, log, metrics, nodeId } = this.#options;
    return new RedisPresence({
      nodeId,
      leaseMs,
      shards: this.#shards,
      keys: this.#keys,
      clock,
      log,
      metrics,
      problem: (place) => this.#shards.problem(place),
      incarnation: () => this.#lineages.incarnation,
      emptiedMs: this.#options.emptiedMs ?? (this.#options.cluster === true ? EMPTIED_MS : 0),
      heard: (room) => this.#shards.heard(room),
    });
  }
}
