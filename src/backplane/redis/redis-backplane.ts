/** Joins many nodes through one Redis: the parts of this folder, put together. */
import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '../../util/clock.ts';
import { randomId } from '../../util/ids.ts';
import type { Logger } from '../../util/log.ts';
import { type RedisAddress, redisAddress } from '../../util/redis-url.ts';
import type { Acks } from '../acks.ts';
import {
  type Backplane,
  BackplaneError,
  type BackplaneEvents,
  type BackplaneStatus,
  EMPTY_META_TTL_MS,
  type HistoryPage,
  type PublishRequest,
  type ReadOptions,
} from '../backplane.ts';
import { ID_BYTES } from '../envelope.ts';
import type { HistoryPolicy } from '../history-policy.ts';
import type { BackplaneMetrics } from '../metrics.ts';
import { RedisAcks } from './acks/redis-acks.ts';
import { Probe } from './health/probe.ts';
import { WriteCheck } from './health/write-check.ts';
import { Keys } from './keys/keys.ts';
import { Link } from './link/link.ts';
import { errorFromCall, isAnswer, isReadOnly } from './link/redis-errors.ts';
import { RedisPresence } from './presence/redis-presence.ts';
import { GroupCommit } from './publish/group-commit.ts';
import { Publisher } from './publish/publisher.ts';
import { readHistory } from './reads/history.ts';
import { ALL_SCRIPTS, renewScript } from './scripts/scripts.ts';
import { describeObstacles, tryScripts } from './start/rights.ts';
import { checkStart } from './start/start-checks.ts';
import { Subscriptions } from './subscribe/subscriptions.ts';

export interface RedisBackplaneOptions {
  /** `redis://` or, with TLS, `rediss://`; may hold user, password and database. */
  readonly url: string;
  readonly tls?: ConnectionOptions;
  /** Nodes of one cluster share prefix and number of partitions (1 to 16384); clusters on one Redis do not. */
  readonly keyPrefix: string;
  readonly partitions: number;
  /** What is not answered by then counts as lost. */
  readonly commandTimeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly dedupWindowMs: number;
  /** How long an unused room keeps its numbering. */
  readonly metaTtlMs: number;
  /** The same for a room that never had a message. Default `EMPTY_META_TTL_MS`; never more than `metaTtlMs`. */
  readonly emptyMetaTtlMs?: number;
  /** How long it is kept how far the users of a room have read, from the last ack on. */
  readonly acksTtlMs: number;
  /** How long the presence entries of a dead node outlive it, about. Default 6 s. */
  readonly leaseMs?: number;
  /** How often the node checks that it hears itself, and that Redis takes what it writes. Default 5 s. */
  readonly probeIntervalMs?: number;
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
}

const DEFAULT_LEASE_MS = 6_000;
const DEFAULT_PROBE_INTERVAL_MS = 5_000;
/** For the links, once it is known that Redis is there. */
const MIN_STARTUP_TIMEOUT_MS = 1_000;
const NO_HISTORY: HistoryPage = { epoch: '', offset: 0, envelopes: [] };

export class RedisBackplane implements Backplane {
  readonly readsAtOnce = 4;
  readonly presence: RedisPresence;
  readonly acks: Acks;
  readonly #options: RedisBackplaneOptions;
  readonly #keys: Keys;
  readonly #command: Link;
  /** Pages of history and lists: however long they take, what is on the command link does not wait behind them. */
  readonly #reads: Link;
  readonly #subscribe: Link;
  readonly #commits: GroupCommit;
  readonly #subscriptions: Subscriptions;
  readonly #probe: Probe;
  readonly #writes: WriteCheck;
  readonly #server: RedisAddress;
  readonly #closing = new AbortController();
  #events: BackplaneEvents | null = null;
  #restoring: Promise<void> | null = null;
  #isStarted = false;
  #isReadLinkAsked = false;
  #isClosed = false;
  #wasReady = false;
  #wasHearing = false;

  constructor(options: RedisBackplaneOptions) {
    this.#options = options;
    this.#server = redisAddress(options.url);
    this.#keys = new Keys(options.keyPrefix, options.partitions, this.#server.database);
    this.#command = new Link('command', options, {
      up: () => this.#commandUp(),
      down: () => this.#commandDown(),
    });
    this.#reads = new Link('read', options, { up: () => this.#changed(), down: () => this.#changed() });
    this.#subscribe = new Link('subscribe', options, {
      up: () => {
        this.#restoring = this.#subscriptions.linkUp();
      },
      down: () => this.#subscribeDown(),
    });
    this.#commits = this.#buildCommits();
    this.acks = this.#buildAcks();
    this.#subscriptions = this.#buildSubscriptions();
    this.#probe = this.#buildProbe();
    this.#writes = this.#buildWriteCheck();
    this.presence = this.#buildPresence();
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.#events = events;
    try {
      const startupTimeoutMs = Math.max(MIN_STARTUP_TIMEOUT_MS, this.#options.startupTimeoutMs);
      await this.#checkStart();
      const links = [this.#command, this.#reads, this.#subscribe];
      await Promise.all(links.map((link) => link.connect(startupTimeoutMs)));
      await this.#restoring;
      for (const script of ALL_SCRIPTS) await script.load(this.#command.redis);
    } catch (error) {
      await this.close();
      throw errorFromCall(error, 'connect');
    }
    this.#probe.start();
    this.#writes.start();
    this.#isStarted = true;
    this.#wasReady = this.status().ready;
    this.#wasHearing = this.#linkProblem() === null;
  }

  publish(request: PublishRequest): void {
    this.#commits.publish(request);
  }

  subscribe(room: string): Promise<void> {
    if (this.#isClosed) return Promise.reject(closedError('subscribe'));
    return this.#subscriptions.subscribe(room);
  }

  resubscribe(room: string): Promise<void> {
    if (this.#isClosed) return Promise.reject(closedError('subscribe'));
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
    const link = options.limit === 0 ? this.#command : this.#reads;
    const call = { room, history, options, metaTtlMs, emptyMetaTtlMs, epoch, lineage: link.lineage };
    const read = () => readHistory(link.redis, this.#keys, call, metrics);
    return link === this.#command ? this.#ask(read) : this.#askRead(read);
  }

  async renewEpoch(room: string, history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    if (history.messages === 0) return;
    const args = [epoch, seen, randomId(ID_BYTES)];
    const { metrics } = this.#options;
    await this.#ask(() => renewScript.call(this.#command.redis, [this.#keys.meta(room)], args, metrics));
  }

  async signal(text: string): Promise<void> {
    // A node that is deaf itself would not do what it asks of all.
    const reason = this.#linkProblem();
    if (reason !== null) throw new BackplaneError('unavailable', 'signal', reason);
    await this.#ask(() => this.#command.redis.publish(this.#keys.signals(), text), 'signal');
  }

  status(): BackplaneStatus {
    const reason = this.#readProblem() ?? this.#subscribeProblem() ?? this.#writes.problem;
    return { ready: reason === null, reason };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closing.abort();
    this.#probe.stop();
    this.#writes.stop();
    this.presence.stop();
    this.#commits.close();
    this.#subscriptions.close();
    this.#command.close();
    this.#reads.close();
    this.#subscribe.close();
  }

  /** Fails fast while Redis is away, instead of queueing on a link that does not answer. */
  async #ask<T>(work: () => Promise<T>, stage = 'read'): Promise<T> {
    const problem = this.#commandProblem();
    if (problem !== null) throw new BackplaneError('unavailable', stage, problem);
    try {
      return await work();
    } catch (cause) {
      const error = errorFromCall(cause, stage);
      if (error.code === 'timeout') this.#commits.noAnswer();
      throw error;
    }
  }

  /** Why nothing is sent or heard. While writes alone are refused, all else goes on. */
  #linkProblem(): string | null {
    return this.#commandProblem() ?? this.#subscribeProblem();
  }

  /** As `#ask`, on the link for reads. That one is late says nothing about the command link. */
  async #askRead<T>(work: () => Promise<T>, stage = 'read'): Promise<T> {
    const problem = this.#readProblem();
    if (problem !== null) throw new BackplaneError('unavailable', stage, problem);
    try {
      return await work();
    } catch (cause) {
      const error = errorFromCall(cause, stage);
      if (error.code === 'timeout') this.#checkReadLink();
      throw error;
    }
  }

  /** A link that does not even answer a PING within the timeout of a command is of no use. */
  #checkReadLink(): void {
    if (this.#isReadLinkAsked || !this.#reads.isUp) return;
    this.#isReadLinkAsked = true;
    this.#reads.redis
      .ping()
      .catch(() => this.#reads.reconnect('redis did not answer a PING'))
      .finally(() => {
        this.#isReadLinkAsked = false;
      });
  }

  #readProblem(): string | null {
    return this.#commandProblem() ?? this.#reads.problem();
  }

  #commandProblem(): string | null {
    if (this.#isClosed) return 'the node is shutting down';
    return this.#command.problem() ?? (this.#commits.isSuspect ? 'redis does not answer' : null);
  }

  #subscribeProblem(): string | null {
    const problem = this.#subscribe.problem();
    if (problem !== null) return problem;
    if (!this.#subscriptions.isRestored) return 'rooms are being subscribed again';
    return this.#probe.isDeaf ? 'the node does not hear what is published' : null;
  }

  #commandUp(): void {
    this.#commits.linkUp();
    // Redis was promoted, and the other link may still lead to the one before.
    if (this.#reads.lineage !== this.#command.lineage) this.#reads.reconnect('it leads to another Redis');
    this.#changed();
  }

  #commandDown(): void {
    this.#commits.linkDown();
    this.#changed();
  }

  #subscribeDown(): void {
    this.#subscriptions.linkDown();
    this.#changed();
  }

  /** Whenever all is well again, envelopes may have been missed, or checks for them have failed. */
  #changed(): void {
    if (!this.#isStarted || this.#isClosed) return;
    this.#probe.linksChanged();
    this.presence.available();
    this.#review();
  }

  #review(): void {
    if (!this.#isStarted || this.#isClosed) return;
    const { ready, reason } = this.status();
    const isHearing = this.#linkProblem() === null;
    const hasResumed = isHearing && !this.#wasHearing;
    this.#wasHearing = isHearing;
    if (ready !== this.#wasReady) {
      this.#wasReady = ready;
      if (ready) this.#options.log.info({}, 'backplane is ready again');
      else this.#options.log.warn({ reason }, 'backplane is not ready');
    }
    if (hasResumed) this.#events?.resumed();
  }

  #buildCommits(): GroupCommit {
    const refused = () => this.#writes.suspect();
    const publisher = new Publisher(this.#command, this.#keys, { ...this.#options, refused });
    return new GroupCommit({
      clock: this.#options.clock,
      maxWaitMs: this.#options.commandTimeoutMs,
      send: (batches) => publisher.send(batches),
      problem: () => this.#command.problem(),
      ping: () => answered(this.#command.redis.ping()),
      reconnect: (reason) => this.#command.reconnect(reason),
      suspectChanged: () => this.#changed(),
    });
  }

  #buildAcks(): Acks {
    return new RedisAcks({
      redis: this.#command.redis,
      keys: this.#keys,
      ttlMs: this.#options.acksTtlMs,
      metaTtlMs: this.#options.metaTtlMs,
      metrics: this.#options.metrics,
      ask: (work) => this.#ask(work, 'acks'),
      reads: this.#reads.redis,
      askRead: (work) => this.#askRead(work, 'acks'),
      epochOf: async (room, history, begin) => (await this.read(room, history, { limit: 0, begin })).epoch,
    });
  }

  #buildSubscriptions(): Subscriptions {
    return new Subscriptions(this.#subscribe, this.#keys, {
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
      canProbe: () => this.#commandProblem() === null && this.#subscriptions.isRestored,
      publish: (bytes) => this.#publishProbe(channel, bytes),
      heard: (lagMs) => metrics.probe(lagMs),
      changed: () => this.#review(),
      reconnect: (reason) => this.#subscribe.reconnect(reason),
    });
  }

  #buildWriteCheck(): WriteCheck {
    const { probeIntervalMs } = this.#options;
    return new WriteCheck({
      intervalMs: probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS,
      canCheck: () => this.#commandProblem() === null,
      check: () => this.#ask(() => this.#tryWriting(), 'check'),
      changed: () => this.#review(),
    });
  }

  async #tryWriting(): Promise<string | null> {
    const obstacles = await tryScripts(this.#command.redis, this.#keys, this.#options.metrics);
    const isReplica = obstacles.some((obstacle) => obstacle.kind === 'writes' && isReadOnly(obstacle.reply));
    if (isReplica) this.#command.reconnect('this Redis became a read-only replica');
    return obstacles.length === 0 ? null : describeObstacles(obstacles, this.#server.username, 'redis');
  }

  /** Rejects with a `BackplaneError` if this Redis cannot be used. */
  #checkStart(): Promise<void> {
    const { tls, commandTimeoutMs, startupTimeoutMs, clock, log } = this.#options;
    return checkStart({
      address: this.#server,
      tls,
      keys: this.#keys,
      commandTimeoutMs,
      startupTimeoutMs,
      clock,
      log,
      signal: this.#closing.signal,
    });
  }

  #buildPresence(): RedisPresence {
    const { clock, leaseMs = DEFAULT_LEASE_MS, log, metrics, nodeId } = this.#options;
    return new RedisPresence({
      nodeId,
      leaseMs,
      redis: this.#command.redis,
      keys: this.#keys,
      clock,
      log,
      metrics,
      problem: () => this.#commandProblem(),
      ask: (work) => this.#ask(work, 'presence'),
      reads: this.#reads.redis,
      askRead: (work) => this.#askRead(work, 'presence'),
    });
  }

  async #publishProbe(channel: string, bytes: string): Promise<void> {
    try {
      await this.#command.redis.publish(channel, bytes);
    } catch (cause) {
      if (errorFromCall(cause, 'publish').code === 'timeout') this.#commits.noAnswer();
      throw cause;
    }
  }
}

/** An error that Redis answers with is an answer too: without a disk it refuses even a PING. */
async function answered(sending: Promise<unknown>): Promise<void> {
  try {
    await sending;
  } catch (cause) {
    if (!isAnswer(errorFromCall(cause, 'publish'))) throw cause;
  }
}

function closedError(stage: string): BackplaneError {
  return new BackplaneError('unavailable', stage, 'the node is shutting down');
}
