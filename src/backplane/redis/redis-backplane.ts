/** Connects many nodes through one Redis: assembles the parts of this folder. */
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../../util/clock.ts';
import { randomId } from '../../util/ids.ts';
import type { Logger } from '../../util/log.ts';
import { type RedisAddress, redisAddress } from '../../util/redis-url.ts';
import type { Acks } from '../acks.ts';
import {
  type Backplane,
  type BackplaneError,
  type BackplaneEvents,
  type BackplaneStatus,
  EMPTY_META_TTL_MS,
  type HistoryPage,
  type NewestPage,
  type PublishRequest,
  type ReadOptions,
  type RoomPosition,
  SHUTTING_DOWN,
  unavailable,
} from '../backplane.ts';
import { type Denials, MAX_DENIALS } from '../denials.ts';
import { ID_BYTES } from '../envelope.ts';
import type { HistoryPolicy } from '../history-policy.ts';
import type { BackplaneMetrics } from '../metrics.ts';
import { RedisAcks } from './acks/redis-acks.ts';
import { RedisDenials } from './denials/redis-denials.ts';
import { Probe } from './health/probe.ts';
import { Readiness } from './health/readiness.ts';
import { WriteCheck } from './health/write-check.ts';
import { Keys } from './keys/keys.ts';
import { Links } from './link/links.ts';
import { errorFromCall, isReadOnly, refusedWrite } from './link/redis-errors.ts';
import { RedisPresence } from './presence/redis-presence.ts';
import { GroupCommit } from './publish/group-commit.ts';
import { Publisher } from './publish/publisher.ts';
import { readHistory } from './reads/history.ts';
import { readNewest } from './reads/newest.ts';
import { ALL_SCRIPTS, clearScript, renewScript } from './scripts/scripts.ts';
import { describeObstacles, tryScripts } from './start/rights.ts';
import { checkStart } from './start/start-checks.ts';
import { Subscriptions } from './subscribe/subscriptions.ts';

export interface RedisBackplaneOptions {
  /** `redis://` or, with TLS, `rediss://`; may contain user, password and database. */
  readonly url: string;
  /** Whether it is a Redis Cluster. Default false. */
  readonly cluster?: boolean;
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

const DEFAULT_LEASE_MS = 6_000;
const DEFAULT_PROBE_INTERVAL_MS = 5_000;
/** For the links, once Redis is known to be there. */
const MIN_STARTUP_TIMEOUT_MS = 1_000;
const NO_HISTORY: HistoryPage = { epoch: '', offset: 0, envelopes: [] };

export class RedisBackplane implements Backplane {
  readonly readsAtOnce = 4;
  readonly presence: RedisPresence;
  readonly acks: Acks;
  readonly denials: Denials;
  readonly #options: RedisBackplaneOptions;
  readonly #keys: Keys;
  readonly #links: Links;
  readonly #commits: GroupCommit;
  readonly #subscriptions: Subscriptions;
  readonly #probe: Probe;
  readonly #writes: WriteCheck;
  readonly #readiness: Readiness;
  readonly #server: RedisAddress;
  readonly #closing = new AbortController();
  #events: BackplaneEvents | null = null;
  #restoring: Promise<void> | null = null;
  #isClosed = false;

  constructor(options: RedisBackplaneOptions) {
    this.#options = options;
    this.#server = redisAddress(options.url);
    this.#keys = new Keys(options.keyPrefix, options.partitions, this.#server.database);
    this.#links = this.#buildLinks();
    this.#commits = this.#buildCommits();
    this.acks = this.#buildAcks();
    this.denials = this.#buildDenials();
    this.#subscriptions = this.#buildSubscriptions();
    this.#probe = this.#buildProbe();
    this.#writes = this.#buildWriteCheck();
    this.#readiness = this.#buildReadiness();
    this.presence = this.#buildPresence();
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.#events = events;
    try {
      await checkStart({
        ...this.#options,
        address: this.#server,
        keys: this.#keys,
        signal: this.#closing.signal,
      });
      await this.#links.connect(Math.max(MIN_STARTUP_TIMEOUT_MS, this.#options.startupTimeoutMs));
      await this.#restoring;
      for (const script of ALL_SCRIPTS) await script.load(this.#links.command.redis);
    } catch (error) {
      await this.close();
      throw errorFromCall(error, 'connect');
    }
    this.#probe.start();
    this.#writes.start();
    this.#readiness.start();
  }

  publish(request: PublishRequest): void {
    this.#commits.publish(request);
  }

  subscribe(room: string): Promise<void> {
    if (this.#isClosed) return Promise.reject(unavailable('subscribe', SHUTTING_DOWN));
    return this.#subscriptions.subscribe(room);
  }

  resubscribe(room: string): Promise<void> {
    if (this.#isClosed) return Promise.reject(unavailable('subscribe', SHUTTING_DOWN));
    return this.#subscriptions.resubscribe(room);
  }

  unsubscribe(room: string): void {
    this.#subscriptions.unsubscribe(room);
  }

  async read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage> {
    if (history.messages === 0) return NO_HISTORY;
    const { metaTtlMs, metrics } = this.#options;
    const emptyMetaTtlMs = Math.min(this.#options.emptyMetaTtlMs ?? EMPTY_META_TTL_MS, metaTtlMs);
    const epoch = randomId(ID_BYTES);
    // A position alone is short, and joins wait for it.
    const isShort = options.limit === 0;
    const link = isShort ? this.#links.command : this.#links.reads;
    const call = { room, history, options, metaTtlMs, emptyMetaTtlMs, epoch, lineage: link.lineage };
    const read = () => readHistory(link.redis, this.#keys, call, metrics);
    return isShort ? this.#links.ask(read, 'read') : this.#links.askRead(read, 'read');
  }

  async readNewest(room: string, history: HistoryPolicy): Promise<NewestPage> {
    const { metrics } = this.#options;
    const key = this.#keys.newest(room);
    return this.#links.askRead(
      () => readNewest(this.#links.reads.redis, key, history.ageMs, metrics),
      'read',
    );
  }

  async renewEpoch(room: string, history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    if (history.messages === 0) return;
    const args = [epoch, seen, randomId(ID_BYTES)];
    const { redis } = this.#links.command;
    const keys = [this.#keys.meta(room)];
    await this.#links.ask(() => renewScript.call(redis, keys, args, this.#options.metrics), 'read');
  }

  async clearHistory(room: string, history: HistoryPolicy): Promise<RoomPosition> {
    if (history.messages === 0) return NO_HISTORY;
    const { redis, lineage } = this.#links.command;
    const keys = [this.#keys.meta(room), this.#keys.log(room)];
    const args = [randomId(ID_BYTES), lineage];
    const reply = await this.#links.ask(
      () => clearScript.call(redis, keys, args, this.#options.metrics),
      'clear',
    );
    const [epoch, offset] = reply as Buffer[];
    return { epoch: epoch!.toString(), offset: Number(offset!.toString()) };
  }

  async subscribers(room: string): Promise<number> {
    const { redis } = this.#links.command;
    const channel = this.#keys.channel(room);
    const reply = await this.#links.ask(() => redis.call('PUBSUB', 'NUMSUB', channel), 'subscribe');
    return Number((reply as unknown[])[1]);
  }

  async signal(text: string): Promise<void> {
    // A deaf node would not do what it asks of all nodes.
    const reason = this.#linkProblem();
    if (reason !== null) throw unavailable('signal', reason);
    await this.#links.ask(() => this.#links.command.redis.publish(this.#keys.signals(), text), 'signal');
  }

  status(): BackplaneStatus {
    return this.#readiness.status();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closing.abort();
    this.#links.stop();
    this.#readiness.stop();
    this.#probe.stop();
    this.#writes.stop();
    this.presence.stop();
    this.#commits.close();
    this.#subscriptions.close();
    this.#links.close();
  }

  /** Why nothing is sent or received. If only writes are refused, everything else continues. */
  #linkProblem(): string | null {
    return this.#links.commandProblem() ?? this.#subscribeProblem();
  }

  #subscribeProblem(): string | null {
    const problem = this.#links.subscribe.problem();
    if (problem !== null) return problem;
    if (!this.#subscriptions.isRestored) return 'subscribing to rooms again';
    return this.#probe.isDeaf ? 'the node does not receive what is published' : null;
  }

  /** What a link does, or what was asked for on one, has changed. */
  #changed(): void {
    if (!this.#readiness.isWatching) return;
    this.#probe.linksChanged();
    this.presence.available();
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
        this.#restoring = this.#subscriptions.linkUp();
      },
      subscribeDown: () => {
        this.#subscriptions.linkDown();
        this.#changed();
      },
      noAnswer: () => this.#commits.noAnswer(),
      isSuspect: () => this.#commits.isSuspect,
    });
  }

  #buildCommits(): GroupCommit {
    const { command } = this.#links;
    const refused = (error: BackplaneError) => this.#writes.suspect(refusedWrite(error));
    const publisher = new Publisher(command, this.#keys, { ...this.#options, refused });
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

  #buildAcks(): Acks {
    const links = this.#links;
    return new RedisAcks({
      redis: links.command.redis,
      keys: this.#keys,
      ttlMs: this.#options.acksTtlMs,
      metaTtlMs: this.#options.metaTtlMs,
      metrics: this.#options.metrics,
      ask: (work) => links.ask(work, 'acks'),
      reads: links.reads.redis,
      askRead: (work) => links.askRead(work, 'acks'),
      epochOf: async (room, history, begin) => (await this.read(room, history, { limit: 0, begin })).epoch,
    });
  }

  #buildDenials(): Denials {
    const links = this.#links;
    return new RedisDenials({
      redis: links.command.redis,
      keys: this.#keys,
      most: this.#options.maxDenials ?? MAX_DENIALS,
      metrics: this.#options.metrics,
      ask: (work) => links.ask(work, 'denials'),
      reads: links.reads.redis,
      askRead: (work) => links.askRead(work, 'denials'),
    });
  }

  #buildSubscriptions(): Subscriptions {
    return new Subscriptions(this.#links.subscribe, this.#keys, {
      metrics: this.#options.metrics,
      probeChannel: this.#keys.probe(this.#options.nodeId),
      envelope: (room, envelope) => this.#events?.envelope(room, envelope),
      presence: (room, changes) => this.presence.arrived(room, changes),
      probe: (bytes) => this.#probe.arrived(bytes),
      signalChannel: this.#keys.signals(),
      signal: (bytes) => this.#events?.signal(bytes.toString()),
      restored: () => this.#changed(),
    });
  }

  #buildProbe(): Probe {
    const { clock, commandTimeoutMs, probeIntervalMs, metrics, nodeId } = this.#options;
    const channel = this.#keys.probe(nodeId);
    return new Probe({
      clock,
      intervalMs: probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS,
      timeoutMs: commandTimeoutMs,
      canProbe: () => this.#links.commandProblem() === null && this.#subscriptions.isRestored,
      publish: (bytes) => this.#links.ask(() => this.#links.command.redis.publish(channel, bytes), 'publish'),
      heard: (lagMs) => metrics.probe(lagMs),
      changed: () => this.#readiness.review(),
      reconnect: (reason) => this.#links.subscribe.reconnect(reason),
    });
  }

  #buildWriteCheck(): WriteCheck {
    const { probeIntervalMs } = this.#options;
    return new WriteCheck({
      intervalMs: probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS,
      canCheck: () => this.#links.commandProblem() === null,
      check: () => this.#links.ask(() => this.#tryWriting(), 'check'),
      changed: () => this.#readiness.review(),
    });
  }

  async #tryWriting(): Promise<string | null> {
    const { command } = this.#links;
    const obstacles = await tryScripts(command.redis, this.#keys, this.#options.metrics);
    const isReplica = obstacles.some((obstacle) => obstacle.kind === 'writes' && isReadOnly(obstacle.reply));
    if (isReplica) command.reconnect('this Redis became a read-only replica');
    return obstacles.length === 0 ? null : describeObstacles(obstacles, this.#server.username, 'redis');
  }

  #buildReadiness(): Readiness {
    return new Readiness({
      problem: () => this.#links.readProblem() ?? this.#subscribeProblem() ?? this.#writes.problem,
      linkProblem: () => this.#linkProblem(),
      resumed: () => this.#events?.resumed(),
      log: this.#options.log,
    });
  }

  #buildPresence(): RedisPresence {
    const { clock, leaseMs = DEFAULT_LEASE_MS, log, metrics, nodeId } = this.#options;
    const links = this.#links;
    return new RedisPresence({
      nodeId,
      leaseMs,
      redis: links.command.redis,
      keys: this.#keys,
      clock,
      log,
      metrics,
      problem: () => links.commandProblem(),
      lineage: () => links.command.lineage,
      ask: (work) => links.ask(work, 'presence'),
      reads: links.reads.redis,
      askRead: (work) => links.askRead(work, 'presence'),
      heard: () => this.#subscriptions.heard(),
    });
  }
}
