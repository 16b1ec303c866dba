/** One Redis that nodes write to, with this node's links to it and all that watches over them. */
import { shownAddress } from '../../../util/redis-url.ts';
import {
  type BackplaneError,
  type BackplaneStatus,
  type PublishRequest,
  unavailable,
} from '../../backplane.ts';
import type { RoomBatch } from '../../room-batch.ts';
import { Probe } from '../health/probe.ts';
import { Readiness } from '../health/readiness.ts';
import { WriteCheck } from '../health/write-check.ts';
import type { Keys } from '../keys/keys.ts';
import { Evidence } from '../lineage/evidence.ts';
import type { Lineages } from '../lineage/lineages.ts';
import type { FoundServer, Part } from '../lineage/records.ts';
import { Links, type LinksOptions } from '../link/links.ts';
import { isNotRun, isReadOnly, refusedWrite } from '../link/redis-errors.ts';
import { type Replication, readReplication } from '../link/replication.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { GroupCommit } from '../publish/group-commit.ts';
import { Publisher } from '../publish/publisher.ts';
import { ALL_SCRIPTS } from '../scripts/scripts.ts';
import { describeObstacles, type ServedPlaces, tryScripts } from '../start/rights.ts';
import { Subscriptions } from '../subscribe/subscriptions.ts';
import type { ShardsEvents } from './shards.ts';

/** What one server tells. */
export interface ShardEvents extends ShardsEvents {
  /** Of a cluster: see `GroupCommitOptions`. */
  notRun?(batches: readonly RoomBatch[]): void;
  /** Of a cluster: it does not have a slot that it was believed to have. */
  misplaced?(): void;
}

export interface ShardOptions extends LinksOptions {
  readonly lineages: Lineages;
  /** Of a server of a cluster: what it has now, and what the other masters say of their replication. */
  readonly has?: { parts(): readonly Part[]; others(): Promise<readonly Replication[]> };
  readonly keys: Keys;
  readonly dedupWindowMs: number;
  readonly metaTtlMs: number;
  /** Of a server of a cluster: see `Envelope.publishedOn`. */
  readonly serverNumber?: number;
  /** Of a server of a cluster: what it has. See `serve`. */
  readonly served?: ServedPlaces;
  /** Default 5 s. */
  readonly probeIntervalMs?: number;
}

/** What is one for the whole cluster has moved here, and signals are not subscribed yet. */
export const SIGNALS_MISSING = 'subscribing to signals again';
const DEFAULT_PROBE_INTERVAL_MS = 5_000;

export class Shard {
  readonly subscriptions: Subscriptions;
  readonly #options: ShardOptions;
  readonly #events: ShardEvents;
  readonly #links: Links;
  readonly #commits: GroupCommit;
  readonly #probe: Probe;
  readonly #writes: WriteCheck;
  readonly #readiness: Readiness;
  /** Null for a single Redis. */
  #served: ServedPlaces | null;
  readonly #settled = new Set<Part>();
  #restoring: Promise<void> | null = null;
  /** Of the run of the server that the command link reached last. */
  #evidence = new Evidence('');

  constructor(options: ShardOptions, events: ShardEvents) {
    this.#options = options;
    this.#served = options.served ?? null;
    this.#events = events;
    this.#links = this.#buildLinks();
    this.#commits = this.#buildCommits();
    this.subscriptions = this.#buildSubscriptions();
    this.#probe = this.#buildProbe();
    this.#writes = this.#buildWriteCheck();
    this.#readiness = this.#buildReadiness();
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
    this.connect(commandTimeoutMs).catch((error: Error) =>
      log.debug({ address: this.address, error: error.message }, 'redis is not reachable yet'),
    );
    this.watch();
  }

  /** Of a cluster: what it has from now on. */
  serve(served: ServedPlaces): void {
    const before = this.#served?.partition;
    this.#served = served;
    if (served.partition === before) return;
    this.subscriptions.probeOn(this.#probeChannel);
    this.#probe.linksChanged();
  }

  /** Begins to look after the links. */
  watch(): void {
    this.#probe.start();
    this.#writes.start();
    this.#readiness.start();
  }

  /** Whether it is known in which lineage the rooms of this partition go on: nothing of it may be asked before. */
  hasSettled(part: Part): boolean {
    return this.#settled.has(part);
  }

  /** Settles partitions that arrived. Rejects if it cannot now. */
  async settle(parts: readonly Part[]): Promise<void> {
    const isCurrent = this.#links.command.connection();
    const info = await this.ask(({ redis }) => redis.info(), 'connect');
    await this.#settleWith(info, isCurrent, parts);
  }

  /** Partitions that another server has now: when they come back, something may have happened to them. */
  forget(parts: readonly Part[]): void {
    for (const part of parts) this.#settled.delete(part);
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
    const reason = this.#linkProblem();
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
    return this.#readiness.status();
  }

  stop(): void {
    this.#links.stop();
    this.#readiness.stop();
    this.#probe.stop();
    this.#writes.stop();
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

  /** Why nothing is sent or received. If only writes are refused, everything else continues. */
  #linkProblem(): string | null {
    return this.#links.commandProblem() ?? this.#subscribeProblem();
  }

  #subscribeProblem(): string | null {
    const problem = this.#links.subscribe.problem();
    if (problem !== null) return problem;
    if (!this.subscriptions.isRestored) return 'subscribing to rooms again';
    return this.#probe.isDeaf ? 'the node does not receive what is published' : null;
  }

  /** What a link does, or what was asked for on one, has changed. */
  #changed(): void {
    if (!this.#readiness.isWatching) return;
    this.#probe.linksChanged();
    this.#events.changed();
    this.#readiness.review();
  }

  #buildLinks(): Links {
    return new Links(this.#options, {
      commandFound: (info, isCurrent) => this.#settleAll(info, isCurrent),
      commandUp: () => {
        this.#commits.linkUp();
        this.#changed();
      },
      commandDown: () => {
        this.#commits.linkDown();
        this.#changed();
      },
      readsChanged: () => this.#changed(),
      subscribeUp: () => {
        this.#restoring = this.subscriptions.linkUp();
      },
      subscribeDown: () => {
        this.#evidence.heardLast();
        this.subscriptions.linkDown();
        this.#changed();
      },
      saw: (room, epoch, offset) => this.#evidence.read(room, epoch, offset),
      noAnswer: () => this.#commits.noAnswer(),
      isSuspect: () => this.#commits.isSuspect,
    });
  }

  #buildCommits(): GroupCommit {
    const { command } = this.#links;
    const refused = (error: BackplaneError) => {
      if (this.#served === null || !isNotRun(error)) this.#writes.suspect(refusedWrite(error));
    };
    const { notRun } = this.#events;
    const stored = (room: string, epoch: string, offset: number) =>
      this.#evidence.answered(room, epoch, offset);
    const publisher = new Publisher(command, this.#options.keys, { ...this.#options, refused, stored });
    return new GroupCommit({
      clock: this.#options.clock,
      name: command.name,
      maxWaitMs: this.#options.commandTimeoutMs,
      send: (batches) => publisher.send(batches),
      problem: () => command.problem(),
      ping: () => this.#links.ping(),
      reconnect: (reason) => command.reconnect(reason),
      suspectChanged: () => this.#changed(),
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
        if (envelope.first > 0) this.#evidence.heard(room, envelope.epoch, envelope.last);
        this.#events.envelope(room, envelope);
      },
      presence: (room, changes) => this.#events.presence(room, changes),
      probe: (bytes) => this.#probe.arrived(bytes),
      signal: (bytes) => this.#events.signal(bytes.toString()),
      restored: () => this.#changed(),
      regained: (places) => this.#events.resumed((place) => places.has(place)),
      misplaced: () => this.#events.misplaced?.(),
    });
  }

  #buildProbe(): Probe {
    const { clock, commandTimeoutMs, metrics } = this.#options;
    return new Probe({
      clock,
      intervalMs: this.#intervalMs,
      timeoutMs: commandTimeoutMs,
      canProbe: () => this.#links.commandProblem() === null && this.subscriptions.hearsProbe,
      publish: (bytes) => this.ask(() => this.#links.command.publish(this.#probeChannel, bytes), 'publish'),
      heard: (lagMs) => metrics.probe(lagMs, this.#served === null ? undefined : this.address),
      changed: () => this.#readiness.review(),
      reconnect: (reason) => this.#links.subscribe.reconnect(reason),
    });
  }

  #buildWriteCheck(): WriteCheck {
    return new WriteCheck({
      intervalMs: this.#intervalMs,
      canCheck: () => this.#links.commandProblem() === null,
      check: () => this.ask(() => this.#tryWriting(), 'check'),
      changed: () => this.#readiness.review(),
    });
  }

  async #tryWriting(): Promise<string | null> {
    const { command } = this.#links;
    const { address, keys, metrics } = this.#options;
    const obstacles = await tryScripts(command, keys, metrics, this.#served);
    const isReplica = obstacles.some((obstacle) => obstacle.kind === 'writes' && isReadOnly(obstacle.reply));
    if (isReplica) command.reconnect('this Redis became a read-only replica');
    if (obstacles.length === 0) await this.#reviewLineages();
    return obstacles.length === 0 ? null : describeObstacles(obstacles, address.username, 'redis');
  }

  async #reviewLineages(): Promise<void> {
    const { command } = this.#links;
    const { lineages, has } = this.#options;
    const server = { ...this.#server, isCurrent: command.connection() };
    const parts = has === undefined ? lineages.all() : [...this.#settled];
    const outdated = await lineages.review(server, parts, has?.others);
    if (outdated !== null) command.reconnect(outdated);
  }

  /** The command link reached a server, and comes up when this resolves. */
  async #settleAll(info: string, isCurrent: () => boolean): Promise<void> {
    const { lineages, has } = this.#options;
    this.#settled.clear();
    const parts = has?.parts() ?? lineages.all();
    await this.#settleWith(info, isCurrent, parts);
  }

  async #settleWith(info: string, isCurrent: () => boolean, parts: readonly Part[]): Promise<void> {
    const { lineages, has } = this.#options;
    await lineages.settle({ ...this.#server, info, isCurrent }, parts, has?.others);
    this.#evidence = lineages.evidenceOf(readReplication(info).runId);
    for (const part of parts) this.#settled.add(part);
  }

  /** The one at the end of the command link now. */
  get #server(): Pick<FoundServer, 'redis' | 'isCluster' | 'address'> {
    const { redis, isCluster, remote } = this.#links.command;
    return { redis, isCluster, address: remote };
  }

  #buildReadiness(): Readiness {
    return new Readiness({
      problem: () => this.#links.readProblem() ?? this.#subscribeProblem() ?? this.#writes.problem,
      linkProblem: () => this.#linkProblem(),
      resumed: () => this.#events.resumed(),
      log: this.#options.log,
      ...(this.#served === null ? {} : { shard: this.address }),
    });
  }

  get #probeChannel(): string {
    const { keys, nodeId } = this.#options;
    return keys.probe(nodeId, this.#served?.partition);
  }

  get #intervalMs(): number {
    return this.#options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS;
  }
}
