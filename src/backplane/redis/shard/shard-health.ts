/** Whether one server can be used: what is tried now and then, and what is wrong. */
import { shownAddress } from '../../../util/redis-url.ts';
import type { BackplaneStatus } from '../../backplane.ts';
import { Probe } from '../health/probe.ts';
import { Readiness } from '../health/readiness.ts';
import { WriteCheck } from '../health/write-check.ts';
import type { Keys } from '../keys/keys.ts';
import type { LinkOptions } from '../link/link.ts';
import type { Links } from '../link/links.ts';
import { isReadOnly } from '../link/redis-errors.ts';
import { describeObstacles, type ServedPlaces, tryScripts } from '../start/rights.ts';
import type { Subscriptions } from '../subscribe/subscriptions.ts';

export interface ShardHealthOptions
  extends Pick<LinkOptions, 'address' | 'clock' | 'commandTimeoutMs' | 'metrics' | 'log'> {
  readonly keys: Keys;
  /** Default 5 s. */
  readonly probeIntervalMs?: number;
}

/** The server that is looked after. */
export interface WatchedShard {
  readonly links: Links;
  readonly subscriptions: Subscriptions;
  /** What it has now; null for a single Redis. */
  readonly served: () => ServedPlaces | null;
  /** Null: there is none, and nothing to hear. */
  readonly probeChannel: () => string | null;
  /** Writes are accepted: see `SettledParts.review`. */
  readonly reviewLineages: () => Promise<void>;
  /** What a link does, or what was asked for on one, has changed. */
  readonly changed: () => void;
  /** All is well again. */
  readonly resumed: () => void;
}

const DEFAULT_PROBE_INTERVAL_MS = 5_000;

export class ShardHealth {
  readonly #options: ShardHealthOptions;
  readonly #shard: WatchedShard;
  readonly #probe: Probe;
  readonly #writes: WriteCheck;
  readonly #readiness: Readiness;

  constructor(options: ShardHealthOptions, shard: WatchedShard) {
    this.#options = options;
    this.#shard = shard;
    this.#probe = this.#buildProbe();
    this.#writes = this.#buildWriteCheck();
    this.#readiness = this.#buildReadiness();
  }

  start(): void {
    this.#probe.start();
    this.#writes.start();
    this.#readiness.start();
  }

  stop(): void {
    this.#readiness.stop();
    this.#probe.stop();
    this.#writes.stop();
  }

  get isWatching(): boolean {
    return this.#readiness.isWatching;
  }

  status(): BackplaneStatus {
    return this.#readiness.status();
  }

  /** Why nothing is sent or received. If only writes are refused, everything else continues. */
  linkProblem(): string | null {
    return this.#shard.links.commandProblem() ?? this.#subscribeProblem();
  }

  /** What a link does, or what was asked for on one, has changed. */
  changed(): void {
    if (!this.isWatching) return;
    this.#probe.linksChanged();
    this.#shard.changed();
    this.#readiness.review();
  }

  /** Probes go by another channel now. */
  probeMoved(): void {
    this.#probe.linksChanged();
  }

  probeArrived(bytes: Buffer): void {
    this.#probe.arrived(bytes);
  }

  /** See `WriteCheck.suspect`. */
  refused(write: string | null): void {
    this.#writes.suspect(write);
  }

  #subscribeProblem(): string | null {
    const { links, subscriptions } = this.#shard;
    const problem = links.subscribe.problem();
    if (problem !== null) return problem;
    if (!subscriptions.isRestored) return 'subscribing to rooms again';
    return this.#probe.isDeaf ? 'the node does not receive what is published' : null;
  }

  #buildProbe(): Probe {
    const { clock, commandTimeoutMs, metrics } = this.#options;
    const { links, subscriptions, probeChannel } = this.#shard;
    return new Probe({
      clock,
      intervalMs: this.#intervalMs,
      timeoutMs: commandTimeoutMs,
      canProbe: () => links.commandProblem() === null && subscriptions.hearsProbe,
      publish: (bytes) => links.ask(() => links.command.publish(probeChannel()!, bytes), 'publish'),
      heard: (lagMs) => metrics.probe(lagMs, this.#name),
      changed: () => this.#readiness.review(),
      reconnect: (reason) => links.subscribe.reconnect(reason),
    });
  }

  #buildWriteCheck(): WriteCheck {
    const { links } = this.#shard;
    return new WriteCheck({
      intervalMs: this.#intervalMs,
      canCheck: () => links.commandProblem() === null,
      check: () => links.ask(() => this.#tryWriting(), 'check'),
      changed: () => this.#readiness.review(),
    });
  }

  async #tryWriting(): Promise<string | null> {
    const { address, keys, metrics } = this.#options;
    const { command } = this.#shard.links;
    const obstacles = await tryScripts(command, keys, metrics, this.#shard.served());
    const isReplica = obstacles.some((obstacle) => obstacle.kind === 'writes' && isReadOnly(obstacle.reply));
    if (isReplica) command.reconnect('this Redis became a read-only replica');
    if (obstacles.length === 0) await this.#shard.reviewLineages();
    return obstacles.length === 0 ? null : describeObstacles(obstacles, address.username, 'redis');
  }

  #buildReadiness(): Readiness {
    const { links, resumed } = this.#shard;
    const shard = this.#name;
    return new Readiness({
      problem: () => links.readProblem() ?? this.#subscribeProblem() ?? this.#writes.problem,
      linkProblem: () => this.linkProblem(),
      resumed,
      log: this.#options.log,
      ...(shard === undefined ? {} : { shard }),
    });
  }

  /** Nothing for a single Redis. */
  get #name(): string | undefined {
    return this.#shard.served() === null ? undefined : shownAddress(this.#options.address);
  }

  get #intervalMs(): number {
    return this.#options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS;
  }
}
