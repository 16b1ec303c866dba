/** The three links of a node to Redis: how they are asked, and what is wrong with them. */
import { BackplaneError, type Place, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import { Link, type LinkOptions } from './link.ts';
import { LoginWatch } from './login-watch.ts';
import { errorFromCall, isAnswer } from './redis-errors.ts';
import { SentinelWatch } from './sentinel-watch.ts';
import type { ShardAccess } from './shard-calls.ts';

export interface LinksOptions extends LinkOptions {
  /** See `Lineages`. */
  readonly lineages: { of(place: Place): string };
}

export interface LinksWatcher {
  /** The command link reached a server, and comes up when this resolves. `info`: the reply to INFO. */
  commandFound(info: string, isCurrent: () => boolean): Promise<void>;
  commandUp(): void;
  commandDown(): void;
  readsChanged(): void;
  subscribeUp(): void;
  subscribeDown(): void;
  /** As `ShardAccess.saw`. */
  saw(room: string, epoch: string, offset: number): void;
  /** Something on the command link was not answered in time. */
  noAnswer(): void;
  /** Whether the command link still owes an answer that is late. */
  isSuspect(): boolean;
}

export class Links {
  readonly command: Link;
  /** Pages of history and lists: however long they take, what is on the command link does not wait behind them. */
  readonly reads: Link;
  readonly subscribe: Link;
  readonly #watcher: LinksWatcher;
  readonly #lineageOf: (place: Place) => string;
  #isReadLinkAsked = false;
  #isStopped = false;
  /** Why what the server says to have done does not count, or null. */
  #distrust: string | null = null;

  constructor(given: LinksOptions, watcher: LinksWatcher) {
    const options = {
      ...given,
      sentinelWatch: new SentinelWatch(given.log),
      loginWatch: new LoginWatch(given.log),
    };
    this.#lineageOf = (place) => options.lineages.of(place);
    this.#watcher = watcher;
    this.command = new Link('command', options, {
      up: () => this.#commandUp(),
      down: () => watcher.commandDown(),
      found: (info, isCurrent) => watcher.commandFound(info, isCurrent),
    });
    const changed = () => watcher.readsChanged();
    this.reads = new Link('read', options, { up: changed, down: changed });
    this.subscribe = new Link('subscribe', options, {
      up: () => watcher.subscribeUp(),
      down: () => watcher.subscribeDown(),
    });
  }

  /** Resolves when all are up for the first time. */
  async connect(timeoutMs: number): Promise<void> {
    await Promise.all(this.#all().map((link) => link.connect(timeoutMs)));
  }

  /** Nothing more is asked. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Another server took over. This one may have been frozen meanwhile: when it wakes it does what waits in its socket, says so, and then
   * drops it. What is in flight on the command link is waited for, since it may also reply that it did nothing.
   */
  distrust(reason: string): void {
    this.#distrust = reason;
    this.subscribe.close();
    this.reads.close();
  }

  close(): void {
    for (const link of this.#all()) link.close();
  }

  commandProblem(): string | null {
    if (this.#isStopped) return SHUTTING_DOWN;
    return (
      this.command.problem() ?? (this.#watcher.isSuspect() ? `${this.command.name} does not answer` : null)
    );
  }

  readProblem(): string | null {
    return this.commandProblem() ?? this.reads.problem();
  }

  /** Fails fast while Redis is away, instead of queueing on a link that does not answer. */
  async ask<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    const problem = this.commandProblem();
    if (problem !== null) throw unavailable(stage, problem);
    try {
      const answer = await work(this.#access(this.command));
      if (this.#distrust === null) return answer;
      throw new BackplaneError('timeout', stage, `${this.#distrust}, before Redis answered`);
    } catch (cause) {
      const error = errorFromCall(cause, stage);
      if (error.code === 'timeout') this.#watcher.noAnswer();
      throw error;
    }
  }

  /** As `ask`, on the link for reads. That one is late says nothing about the command link. */
  async askRead<T>(work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    const problem = this.readProblem();
    if (problem !== null) throw unavailable(stage, problem);
    try {
      return await work(this.#access(this.reads));
    } catch (cause) {
      const error = errorFromCall(cause, stage);
      if (error.code === 'timeout') this.#checkReadLink();
      throw error;
    }
  }

  /** Resolves when Redis answered on the command link. An error is an answer too: without a disk it refuses even a PING. */
  async ping(): Promise<void> {
    try {
      await this.command.redis.ping();
    } catch (cause) {
      if (!isAnswer(errorFromCall(cause, 'publish'))) throw cause;
    }
  }

  #commandUp(): void {
    // Redis was promoted, and the other link may still lead to the one before.
    if (this.reads.serverId !== this.command.serverId) this.reads.reconnect('it leads to another Redis');
    this.#watcher.commandUp();
  }

  /** A link that does not even answer a PING within the timeout of a command is of no use. */
  #checkReadLink(): void {
    if (this.#isReadLinkAsked || !this.reads.isUp) return;
    this.#isReadLinkAsked = true;
    this.reads.redis
      .ping()
      .catch(() => this.reads.reconnect('redis did not answer a PING'))
      .finally(() => {
        this.#isReadLinkAsked = false;
      });
  }

  #access({ redis, isCluster }: Link): ShardAccess {
    return { redis, isCluster, lineageOf: this.#lineageOf, saw: this.#watcher.saw };
  }

  #all(): readonly Link[] {
    return [this.command, this.reads, this.subscribe];
  }
}
