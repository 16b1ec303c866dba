/** One connection to Redis that reconnects by itself, and knows since when it is down and why. */

import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Redis, type RedisOptions } from 'ioredis';
import { backoffMs } from '../../../util/backoff.ts';
import type { Clock } from '../../../util/clock.ts';
import { codeOrMessage } from '../../../util/error-words.ts';
import type { LogFields, Logger } from '../../../util/log.ts';
import { type RedisAddress, shownAddress } from '../../../util/redis-url.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { BackplaneError, unavailable } from '../../backplane.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import { LoginWatch } from './login-watch.ts';
import { quietLogin } from './quiet-login.ts';
import { quietSentinels } from './quiet-sentinels.ts';
import { isReadOnly, isWrongCredentials } from './redis-errors.ts';
import { readReplication, type ServerAddress } from './replication.ts';
import { SentinelWatch } from './sentinel-watch.ts';
import { serverOptions } from './server-options.ts';
import { passingProblem, serverProblem } from './server-version.ts';

/**
 * `command`: everything that must never wait. `read`: replies that may be long. `subscribe`: published
 * messages.
 */
export type LinkRole = 'command' | 'read' | 'subscribe';

/** In the names that CLIENT LIST shows. */
const SHORT_NAMES: Readonly<Record<LinkRole, string>> = { command: 'cmd', read: 'read', subscribe: 'sub' };

export interface LinkOptions {
  readonly address: RedisAddress;
  /** The server is part of a Redis Cluster. Default false. */
  readonly isCluster?: boolean;
  readonly tls?: ConnectionOptions;
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly commandTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackplaneMetrics;
  /** Shared by the links that use the same Sentinels. Default: one of its own. */
  readonly sentinelWatch?: SentinelWatch;
  /** Shared by the links to the same server. Default: one of its own. */
  readonly loginWatch?: LoginWatch;
}

/** Both are called once per change. */
export interface LinkWatcher {
  up(): void;
  down(): void;
  /** Before it comes up, with the reply to INFO: it waits for this, and is dropped if it rejects. */
  found?(info: string, isCurrent: () => boolean): Promise<void>;
}

/**
 * Short, since members wait; long enough that a cluster of nodes does not hold up a Redis that is loading.
 */
const RECONNECT = { baseMs: 50, capMs: 2_000 };
const MIN_CONNECT_TIMEOUT_MS = 1_000;
/** How long a socket that we close may linger. */
const DISCONNECT_TIMEOUT_MS = 100;

export class Link {
  readonly role: LinkRole;
  readonly redis: Redis;
  readonly #options: LinkOptions;
  readonly #watcher: LinkWatcher;
  readonly #server: RedisAddress;
  #isUp = false;
  #wasUp = false;
  /** Failed or useless connections in a row. ioredis counts only those that it could not make. */
  #failures = 0;
  #hasWorked = false;
  /** How many of them came up. */
  #useless = 0;
  #isClosed = false;
  #downSinceMs: number;
  #serverId = '';
  #connections = 0;
  /** The connection that is being dropped, by its number: it may take two seconds to close. */
  #dropped = -1;
  #lastError: Error | null = null;
  /** Host and port of the server to which it was up last. */
  #reached: string | null = null;
  #waiter: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(role: LinkRole, options: LinkOptions, watcher: LinkWatcher) {
    this.role = role;
    this.#options = options;
    this.#watcher = watcher;
    this.#downSinceMs = options.clock.nowMs();
    this.#server = options.address;
    this.redis = new Redis({
      ...serverOptions(this.#server, options.tls),
      ...redisOptions(role, options),
      retryStrategy: () => this.#retryMs(),
    });
    const logins = options.loginWatch ?? new LoginWatch(options.log);
    quietSentinels(this.redis, options.sentinelWatch ?? new SentinelWatch(options.log), logins);
    quietLogin(this.redis, (isNeedless) => logins.loggedIn(this.#leadsTo, isNeedless, 'redis.url'));
    this.redis.on('error', (error: Error) => this.#failed(error));
    this.redis.on('ready', () => void this.#identify());
    this.redis.on('close', () => {
      this.#connections++;
      this.#lost();
    });
    this.redis.on('end', () => this.#ended());
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Which server it leads to, and since which promotion: for a link that does not subscribe. */
  get serverId(): string {
    return this.#serverId;
  }

  /** Where its connection ends: behind a name or a proxy it may be another server than before. */
  get remote(): ServerAddress {
    const { remoteAddress, remotePort } = this.redis.stream as Partial<Socket>;
    return { host: remoteAddress ?? this.#server.host, port: remotePort ?? this.#server.port };
  }

  get isCluster(): boolean {
    return this.#options.isCluster ?? false;
  }

  /** Host and port, without credentials. */
  get address(): string {
    return shownAddress(this.#server);
  }

  /** What messages call the server: of a cluster with its address. */
  get name(): string {
    return this.isCluster ? `redis ${this.address}` : 'redis';
  }

  /** What is wrong, for people; null when the link is up. */
  problem(): string | null {
    if (this.#isUp) return null;
    const seconds = Math.round((this.#options.clock.nowMs() - this.#downSinceMs) / 1000);
    return `${this.name} ${this.role} link is down: ${this.#cause()} (down for ${seconds} s)`;
  }

  /**
   * Resolves when the link is up for the first time. Rejects after `timeoutMs`, or at once if Redis refuses
   * it.
   */
  async connect(timeoutMs: number): Promise<void> {
    const timer = systemScheduler.after(timeoutMs, () => this.#waiter?.reject(this.#connectError(timeoutMs)));
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiter = { resolve, reject };
        // Its failures arrive as `error` events, like those of later attempts.
        this.redis
          .connect()
          .catch((error: Error) => this.#options.log.debug({ error }, 'redis is not reachable yet'));
      });
    } finally {
      this.#waiter = null;
      timer.cancel();
    }
  }

  /** Tells of the connection that it has now whether it still has it. */
  connection(): () => boolean {
    const connection = this.#connections;
    return () => connection === this.#connections && !this.#isClosed;
  }

  /** On a channel: of a cluster one that is sharded. */
  publish(channel: string, text: string | Buffer): Promise<unknown> {
    return this.isCluster ? this.redis.spublish(channel, text) : this.redis.publish(channel, text);
  }

  /** The link works: when it is lost, the first attempt to reconnect comes soon. */
  works(): void {
    this.#failures = 0;
    this.#useless = 0;
    this.#hasWorked = true;
  }

  /** Drops the connection and makes a new one: for a link that is up but does not work. */
  reconnect(reason: string): void {
    if (!this.#isUp || this.#isClosed || this.#dropped === this.#connections) return;
    this.#dropped = this.#connections;
    this.#log('warn', { ...this.#place, reason }, 'redis link dropped: reconnecting');
    this.#lastError = new Error(reason);
    this.redis.disconnect(true);
  }

  /** Closes the connection without waiting for anything: Redis may be frozen. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.redis.disconnect();
    this.#lost();
  }

  /**
   * Before anything is written: the server's state decides how. A link that only subscribes needs none of it.
   */
  async #identify(): Promise<void> {
    const isCurrent = this.connection();
    if (this.role !== 'subscribe') {
      try {
        const info = await this.redis.info();
        const problem = serverProblem(info, this.isCluster) ?? passingProblem(info);
        if (problem !== null) return this.#refuse(`cannot use this Redis: ${problem}`);
        // If this fails, ioredis would continue in database 0.
        if (this.#server.database !== 0) await this.redis.select(this.#server.database);
        const { id, runId } = readReplication(info);
        this.#serverId = `${runId} ${id}`;
        await this.#watcher.found?.(info, isCurrent);
      } catch (error) {
        const { message } = error as Error;
        const reason = error instanceof BackplaneError ? message : `redis did not answer INFO: ${message}`;
        return isCurrent() ? this.#refuse(reason) : undefined;
      }
      if (!isCurrent()) return;
      this.works();
    }
    this.#ready();
  }

  #refuse(reason: string): void {
    this.#lastError = new Error(reason);
    if (!this.#isClosed && this.redis.status === 'ready') this.redis.disconnect(true);
  }

  #ready(): void {
    if (this.#isClosed || this.redis.status !== 'ready') return;
    if (this.#wasUp) this.#options.metrics.reconnected(this.role, this.#shard);
    this.#options.metrics.linkState(this.role, true, this.#shard);
    this.#hasWorked = this.role !== 'subscribe';
    this.#reached = shownAddress(this.remote);
    this.#log('info', this.#place, 'redis link is up');
    this.#isUp = true;
    this.#wasUp = true;
    this.#lastError = null;
    this.#waiter?.resolve();
    this.#watcher.up();
  }

  #lost(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#downSinceMs = this.#options.clock.nowMs();
    this.#options.metrics.linkState(this.role, false, this.#shard);
    if (!this.#isClosed) this.#log('warn', { ...this.#place, cause: this.#cause() }, 'redis link is down');
    if (!this.#hasWorked) this.#useless++;
    this.#watcher.down();
  }

  /**
   * ioredis gives up where an attempt fails before it has a socket, without asking `retryStrategy`: the news of a failover
   * reaches it while it asks a Sentinel for the primary, or a certificate that was renewed cannot be read.
   */
  #ended(): void {
    if (this.#isClosed) return;
    systemScheduler.after(this.#retryMs(), () => {
      if (this.#isClosed) return;
      this.redis
        .connect()
        .catch((error: Error) => this.#options.log.debug({ error }, 'redis is not reachable yet'));
    });
  }

  #retryMs(): number {
    return backoffMs(this.#failures++, RECONNECT);
  }

  #failed(error: Error): void {
    this.#lastError = error;
    if (this.#waiter !== null && isWrongCredentials(error)) {
      const message = `cannot log in to Redis at ${this.address}: ${codeOrMessage(error)}`;
      this.#waiter.reject(unavailable('connect', message, { cause: error }));
    }
  }

  /** The server itself, also where Sentinels name it. */
  get #leadsTo(): string {
    return this.#server.sentinels === undefined ? this.address : shownAddress(this.remote);
  }

  /** For the log. Where Sentinels name the server, `server` is the one that the link led to. */
  get #place(): LogFields {
    const { role: link, address } = this;
    if (this.#server.sentinels === undefined || this.#reached === null) return { link, address };
    return { link, address, server: this.#reached };
  }

  /** As metrics name it: nothing for a single Redis. */
  get #shard(): string | undefined {
    return this.isCluster ? this.address : undefined;
  }

  #cause(): string {
    if (this.#lastError === null) return 'the connection was closed';
    return codeOrMessage(this.#lastError);
  }

  /** A link that comes up and is useless, again and again, is logged once. */
  #log(level: 'info' | 'warn', fields: LogFields, message: string): void {
    this.#options.log[this.#useless > 0 ? 'debug' : level](fields, message);
  }

  #connectError(timeoutMs: number): BackplaneError {
    const tried = `cannot reach Redis at ${this.address} within ${Math.round(timeoutMs / 1000)} s`;
    const right = this.isCluster ? 'this machine reaches the address that it announces' : 'the URL is right';
    const cause = this.#lastError === null ? 'no answer' : this.#cause();
    return unavailable('connect', `${tried} (${cause}): check that it runs and that ${right}`);
  }
}

function redisOptions(role: LinkRole, options: LinkOptions): RedisOptions & { replyMapping: 'legacy' } {
  return {
    // RESP2, which every server and proxy supports. Its one drawback, a link that only subscribes, we have
    // anyway.
    protocol: 2,
    replyMapping: 'legacy',
    lazyConnect: true,
    connectionName: `roomcast-${options.nodeId}-${SHORT_NAMES[role]}`,
    commandTimeout: options.commandTimeoutMs,
    connectTimeout: Math.max(MIN_CONNECT_TIMEOUT_MS, options.commandTimeoutMs),
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // The caller decides what happens while the link is down; nothing may wait for it unseen.
    enableOfflineQueue: false,
    // A publish sent twice would be stored twice.
    autoResendUnfulfilledCommands: false,
    // Without this, commands sent before the link died are rejected only by their timeout.
    maxRetriesPerRequest: 0,
    // `subscriptions.ts` does it, to know when it is complete.
    autoResubscribe: false,
    // One of a cluster stays a replica: the slot map says who took over.
    reconnectOnError: (error) => options.isCluster !== true && isReadOnly(error.message),
  };
}
