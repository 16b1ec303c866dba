/** One Redis that nodes write to, with this node's links to it and all that watches over them. */
import { shownAddress } from '../../../util/redis-url.ts';
import {
  type BackplaneError,
  type BackplaneStatus,
  type PublishRequest,
  unavailable,
} from '../../backplane.ts';
import { Probe } from '../health/probe.ts';
import { Readiness } from '../health/readiness.ts';
import { WriteCheck } from '../health/write-check.ts';
import type { Keys } from '../keys/keys.ts';
import type { LinkOptions } from '../link/link.ts';
import { Links } from '../link/links.ts';
import { isReadOnly, refusedWrite } from '../link/redis-errors.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { GroupCommit } from '../publish/group-commit.ts';
import { Publisher } from '../publish/publisher.ts';
import { ALL_SCRIPTS } from '../scripts/scripts.ts';
import { describeObstacles, tryScripts } from '../start/rights.ts';
import { Subscriptions } from '../subscribe/subscriptions.ts';
import type { ShardsEvents } from './shards.ts';

export interface ShardOptions extends LinkOptions {
  readonly keys: Keys;
  readonly dedupWindowMs: number;
  readonly metaTtlMs: number;
  /** Default 5 s. */
  readonly probeIntervalMs?: number;
}

const DEFAULT_PROBE_INTERVAL_MS = 5_000;

export class Shard {
  readonly subscriptions: Subscriptions;
  readonly #options: ShardOptions;
  readonly #events: ShardsEvents;
  readonly #links: Links;
  readonly #commits: GroupCommit;
  readonly #probe: Probe;
  readonly #writes: WriteCheck;
  readonly #readiness: Readiness;
  #restoring: Promise<void> | null = null;

  constructor(options: ShardOptions, events: ShardsEvents) {
    this.#options = options;
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

  /** Of its server: see `Link`. */
  get incarnation(): string {
    return this.#links.command.incarnation;
  }

  /** Resolves when the links are up and the scripts loaded. Rejects after `timeoutMs`. */
  async connect(timeoutMs: number): Promise<void> {
    await this.#links.connect(timeoutMs);
    await this.#restoring;
    for (const script of ALL_SCRIPTS) await script.load(this.#links.command.redis);
  }

  /** Begins to look after the links. */
  watch(): void {
    this.#probe.start();
    this.#writes.start();
    this.#readiness.start();
  }

  publish(request: PublishRequest): void {
    this.#commits.publish(request);
  }

  ask<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#links.ask(work, stage);
  }

  askRead<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#links.askRead(work, stage);
  }

  async subscribers(room: string): Promise<number> {
    const channel = this.#options.keys.channel(room);
    const reply = await this.ask(({ redis }) => redis.call('PUBSUB', 'NUMSUB', channel), 'subscribe');
    return Number((reply as unknown[])[1]);
  }

  async signal(text: string): Promise<void> {
    // A deaf node would not do what it asks of all nodes.
    const reason = this.#linkProblem();
    if (reason !== null) throw unavailable('signal', reason);
    await this.ask(({ redis }) => redis.publish(this.#options.keys.signals(), text), 'signal');
  }

  /** Why it cannot be called now, or null. */
  problem(): string | null {
    return this.#links.commandProblem();
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

  close(): void {
    this.#commits.close();
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
        this.subscriptions.linkDown();
        this.#changed();
      },
      noAnswer: () => this.#commits.noAnswer(),
      isSuspect: () => this.#commits.isSuspect,
    });
  }

  #buildCommits(): GroupCommit {
    const { command } = this.#links;
    const refused = (error: BackplaneError) => this.#writes.suspect(refusedWrite(error));
    const publisher = new Publisher(command, this.#options.keys, { ...this.#options, refused });
    return new GroupCommit({
      clock: this.#options.clock,
      maxWaitMs: this.#options.commandTimeoutMs,
      send: (batches) => publisher.send(batches),
      problem: () => command.problem(),
      ping: () => this.#links.ping(),
      reconnect: (reason) => command.reconnect(reason),
      suspectChanged: () => this.#changed(),
    });
  }

  #buildSubscriptions(): Subscriptions {
    const { commandTimeoutMs, keys, metrics, nodeId } = this.#options;
    return new Subscriptions(this.#links.subscribe, keys, {
      commandTimeoutMs,
      metrics,
      probeChannel: keys.probe(nodeId),
      signalChannel: keys.signals(),
      envelope: (room, envelope) => this.#events.envelope(room, envelope),
      presence: (room, changes) => this.#events.presence(room, changes),
      probe: (bytes) => this.#probe.arrived(bytes),
      signal: (bytes) => this.#events.signal(bytes.toString()),
      restored: () => this.#changed(),
    });
  }

  #buildProbe(): Probe {
    const { clock, commandTimeoutMs, keys, metrics, nodeId } = this.#options;
    const channel = keys.probe(nodeId);
    return new Probe({
      clock,
      intervalMs: this.#intervalMs,
      timeoutMs: commandTimeoutMs,
      canProbe: () => this.#links.commandProblem() === null && this.subscriptions.hearsProbe,
      publish: (bytes) => this.ask(({ redis }) => redis.publish(channel, bytes), 'publish'),
      heard: (lagMs) => metrics.probe(lagMs),
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
    const obstacles = await tryScripts(command.redis, keys, metrics);
    const isReplica = obstacles.some((obstacle) => obstacle.kind === 'writes' && isReadOnly(obstacle.reply));
    if (isReplica) command.reconnect('this Redis became a read-only replica');
    return obstacles.length === 0 ? null : describeObstacles(obstacles, address.username, 'redis');
  }

  #buildReadiness(): Readiness {
    return new Readiness({
      problem: () => this.#links.readProblem() ?? this.#subscribeProblem() ?? this.#writes.problem,
      linkProblem: () => this.#linkProblem(),
      resumed: () => this.#events.resumed(),
      log: this.#options.log,
    });
  }

  get #intervalMs(): number {
    return this.#options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS;
  }
}
