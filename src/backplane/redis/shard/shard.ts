/** One Redis that nodes write to, with this node's links to it and all that watches over them. */
import { shownAddress } from '../../../util/redis-url.ts';
import {
  type BackplaneError,
  type BackplaneStatus,
  type PublishRequest,
  unavailable,
} from '../../backplane.ts';
import type { RoomBatch } from '../../room-batch.ts';
import type { Lineages } from '../lineage/lineages.ts';
import type { Part } from '../lineage/records.ts';
import { Links, type LinksOptions } from '../link/links.ts';
import { isNotRun, refusedWrite } from '../link/redis-errors.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { GroupCommit } from '../publish/group-commit.ts';
import { Publisher } from '../publish/publisher.ts';
import { ALL_SCRIPTS } from '../scripts/scripts.ts';
import type { ServedPlaces } from '../start/rights.ts';
import { Subscriptions } from '../subscribe/subscriptions.ts';
import { SettledParts, type SettledPartsOptions } from './settled-parts.ts';
import { ShardHealth, type ShardHealthOptions } from './shard-health.ts';
import type { ShardsEvents } from './shards.ts';

/** What one server tells. */
export interface ShardEvents extends ShardsEvents {
  /** Of a cluster: see `GroupCommitOptions`. */
  notRun?(batches: readonly RoomBatch[]): void;
  /** Of a cluster: it does not have a slot that it was believed to have. */
  misplaced?(): void;
}

export interface ShardOptions extends LinksOptions, SettledPartsOptions, ShardHealthOptions {
  readonly lineages: Lineages;
  readonly dedupWindowMs: number;
  readonly metaTtlMs: number;
  /** Of a server of a cluster: see `Envelope.publishedOn`. */
  readonly serverNumber?: number;
  /** Of a server of a cluster: what it has. See `serve`. */
  readonly served?: ServedPlaces;
}

const NOT_YET = 'redis shard cannot be used yet';
/** What is one for the whole cluster has moved here, and signals are not subscribed yet. */
export const SIGNALS_MISSING = 'subscribing to signals again';

export class Shard {
  readonly subscriptions: Subscriptions;
  readonly #options: ShardOptions;
  readonly #events: ShardEvents;
  readonly #links: Links;
  readonly #commits: GroupCommit;
  readonly #settled: SettledParts;
  readonly #health: ShardHealth;
  /** Null for a single Redis. */
  #served: ServedPlaces | null;
  #restoring: Promise<void> | null = null;

  constructor(options: ShardOptions, events: ShardEvents) {
    this.#options = options;
    this.#served = options.served ?? null;
    this.#events = events;
    this.#links = this.#buildLinks();
    this.#settled = new SettledParts(options, this.#links.command);
    this.#commits = this.#buildCommits();
    this.subscriptions = this.#buildSubscriptions();
    this.#health = this.#buildHealth();
  }

  /** Host and port, without credentials. */
  get address(): string {
    return shownAddress(this.#options.address);
  }

  /** Resolves when the links are up and the scripts loaded. Rejects after `timeoutMs`. */
  async connect(timeoutMs: number): Promise<void> {
    await this.#links.connect(timeoutMs);
    await this.#restoring;
    for (const script of ALL_SCRIPTS) await script.load(this.#links.command);
  }

  /** Null for a single Redis. */
  get served(): ServedPlaces | null {
    return this.#served;
  }

  /** Makes the links and looks after them, however long it takes until they are up. */
  open(): void {
    const { commandTimeoutMs, log } = this.#options;
    this.connect(commandTimeoutMs).catch((error: Error) => {
      // Links that were never up say nothing when they are down.
      if (this.#health.isWatching) log.warn({ shard: this.address, reason: error.message }, NOT_YET);
    });
    this.watch();
  }

  /** Of a cluster: what it has from now on. */
  serve(served: ServedPlaces): void {
    const before = this.#probeChannel;
    this.#served = served;
    if (this.#probeChannel === before) return;
    this.subscriptions.probeOn(this.#probeChannel);
    this.#health.probeMoved();
  }

  /** Begins to look after the links. */
  watch(): void {
    this.#health.start();
  }

  /** Whether it is known in which lineage the rooms of this partition go on: nothing of it may be asked before. */
  hasSettled(part: Part): boolean {
    return this.#settled.has(part);
  }

  /** Settles partitions that arrived. Rejects if it cannot now. */
  async settle(parts: readonly Part[]): Promise<void> {
    const isCurrent = this.#links.command.connection();
    const info = await this.ask(({ redis }) => redis.info(), 'connect');
    await this.#settled.settle(info, isCurrent, parts);
  }

  /** Partitions that another server has now: when they come back, something may have happened to them. */
  forget(parts: readonly Part[]): void {
    this.#settled.forget(parts);
  }

  publish(request: PublishRequest): void {
    this.#commits.publish(request);
  }

  /** Sends batches that waited elsewhere. */
  append(batches: readonly RoomBatch[]): void {
    this.#commits.append(batches);
  }

  /** Takes back what waits of these rooms. */
  withdraw(has: (room: string) => boolean): RoomBatch[] {
    return this.#commits.withdraw(has);
  }

  /** Whether the outcome of something published in such a room is open. */
  isSending(has: (room: string) => boolean): boolean {
    return this.#commits.isSending(has);
  }

  ask<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#links.ask(work, stage);
  }

  askRead<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#links.askRead(work, stage);
  }

  async subscribers(room: string): Promise<number> {
    const channel = this.#options.keys.channel(room);
    const count = this.#links.command.isCluster ? 'SHARDNUMSUB' : 'NUMSUB';
    const reply = await this.ask(({ redis }) => redis.call('PUBSUB', count, channel), 'subscribe');
    return Number((reply as unknown[])[1]);
  }

  async signal(text: string): Promise<void> {
    // A deaf node would not do what it asks of all nodes.
    const reason = this.#health.linkProblem();
    if (reason !== null) throw unavailable('signal', reason);
    if (!this.subscriptions.hearsSignals) throw unavailable('signal', SIGNALS_MISSING);
    await this.ask(() => this.#links.command.publish(this.#options.keys.signals(), text), 'signal');
  }

  /** Why it cannot be called now, or null. */
  problem(): string | null {
    return this.#links.commandProblem();
  }

  /** Whether it can be asked: late answers or not. */
  get isUp(): boolean {
    return this.#links.command.isUp;
  }

  status(): BackplaneStatus {
    return this.#health.status();
  }

  stop(): void {
    this.#links.stop();
    this.#health.stop();
  }

  /**
   * Of a cluster: another server took over. Nothing is heard here any more, and what this one says to have stored does not count. It may
   * yet reply that it did not: until `close`.
   */
  replaced(reason: string): void {
    this.stop();
    this.#commits.distrust(reason);
    this.subscriptions.close();
    this.#links.distrust(reason);
  }

  /** `reason`: why what is in flight may or may not have been stored. */
  close(reason?: string): void {
    this.#commits.close(reason);
    this.subscriptions.close();
    this.#links.close();
  }

  #buildLinks(): Links {
    return new Links(this.#options, {
      commandFound: (info, isCurrent) => this.#settled.settleAll(info, isCurrent),
      commandUp: () => {
        this.#commits.linkUp();
        this.#health.changed();
      },
      commandDown: () => {
        this.#commits.linkDown();
        this.#health.changed();
      },
      readsChanged: () => this.#health.changed(),
      subscribeUp: () => {
        this.#restoring = this.subscriptions.linkUp();
      },
      subscribeDown: () => {
        this.#settled.evidence.heardLast();
        this.subscriptions.linkDown();
        this.#health.changed();
      },
      saw: (room, epoch, offset) => this.#settled.evidence.read(room, epoch, offset),
      noAnswer: () => this.#commits.noAnswer(),
      isSuspect: () => this.#commits.isSuspect,
    });
  }

  #buildCommits(): GroupCommit {
    const { command } = this.#links;
    const refused = (error: BackplaneError) => {
      if (this.#served === null || !isNotRun(error)) this.#health.refused(refusedWrite(error));
    };
    const { notRun } = this.#events;
    const stored = (room: string, epoch: string, offset: number) =>
      this.#settled.evidence.answered(room, epoch, offset);
    const publisher = new Publisher(command, this.#options.keys, { ...this.#options, refused, stored });
    return new GroupCommit({
      clock: this.#options.clock,
      name: command.name,
      maxWaitMs: this.#options.commandTimeoutMs,
      send: (batches) => publisher.send(batches),
      problem: () => command.problem(),
      ping: () => this.#links.ping(),
      reconnect: (reason) => command.reconnect(reason),
      suspectChanged: () => this.#health.changed(),
      ...(notRun === undefined ? {} : { notRun }),
    });
  }

  #buildSubscriptions(): Subscriptions {
    const { commandTimeoutMs, keys, metrics, serverNumber } = this.#options;
    return new Subscriptions(this.#links.subscribe, keys, {
      isSharded: this.#served !== null,
      commandTimeoutMs,
      metrics,
      probeChannel: this.#probeChannel,
      hasSignals: this.#served?.hasNodes ?? true,
      signalChannel: keys.signals(),
      ...(serverNumber === undefined ? {} : { serverNumber }),
      envelope: (room, envelope) => {
        // In rooms with history.
        if (envelope.first > 0) this.#settled.evidence.heard(room, envelope.epoch, envelope.last);
        this.#events.envelope(room, envelope);
      },
      presence: (room, changes) => this.#events.presence(room, changes),
      probe: (bytes) => this.#health.probeArrived(bytes),
      signal: (bytes) => this.#events.signal(bytes.toString()),
      restored: () => this.#health.changed(),
      regained: (places) => this.#events.resumed((place) => places.has(place)),
      misplaced: () => this.#events.misplaced?.(),
    });
  }

  #buildHealth(): ShardHealth {
    return new ShardHealth(this.#options, {
      links: this.#links,
      subscriptions: this.subscriptions,
      served: () => this.#served,
      probeChannel: () => this.#probeChannel,
      reviewLineages: () => this.#settled.review(),
      changed: () => this.#events.changed(),
      resumed: () => this.#events.resumed(),
    });
  }

  /** Null for a server of a cluster that has nothing: it would refuse any channel. */
  get #probeChannel(): string | null {
    const { keys, nodeId } = this.#options;
    if (this.#served === null) return keys.probe(nodeId);
    const { partition, hasNodes } = this.#served;
    return partition === null && !hasNodes ? null : keys.probe(nodeId, partition);
  }
}
