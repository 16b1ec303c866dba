/** A single Redis: every place is on it. */
import {
  type BackplaneStatus,
  type Place,
  type PublishRequest,
  SHUTTING_DOWN,
  unavailable,
} from '../../backplane.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { checkStart } from '../start/start-checks.ts';
import { Shard, type ShardOptions } from './shard.ts';
import type { Shards, ShardsEvents } from './shards.ts';

export interface OneShardOptions extends ShardOptions {
  readonly startupTimeoutMs: number;
}

/** For the links, once Redis is known to be there. */
const MIN_STARTUP_TIMEOUT_MS = 1_000;

export class OneShard implements Shards {
  readonly #options: OneShardOptions;
  readonly #shard: Shard;
  readonly #closing = new AbortController();

  constructor(options: OneShardOptions, events: ShardsEvents) {
    this.#options = options;
    this.#shard = new Shard(options, events);
  }

  async start(): Promise<void> {
    const { startupTimeoutMs } = this.#options;
    await checkStart({ ...this.#options, signal: this.#closing.signal });
    await this.#shard.connect(Math.max(MIN_STARTUP_TIMEOUT_MS, startupTimeoutMs));
    this.#shard.watch();
  }

  publish(request: PublishRequest): void {
    this.#shard.publish(request);
  }

  ask<T>(_place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#shard.ask(work, stage);
  }

  askRead<T>(_place: Place, work: (shard: ShardAccess) => Promise<T>, stage: string): Promise<T> {
    return this.#shard.askRead(work, stage);
  }

  grouped<T>(items: readonly T[]): readonly (readonly T[])[] {
    return [items];
  }

  signal(text: string): Promise<void> {
    return this.#shard.signal(text);
  }

  subscribe(room: string): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(unavailable('subscribe', SHUTTING_DOWN));
    return this.#shard.subscriptions.subscribe(room);
  }

  resubscribe(room: string): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(unavailable('subscribe', SHUTTING_DOWN));
    return this.#shard.subscriptions.resubscribe(room);
  }

  unsubscribe(room: string): void {
    this.#shard.subscriptions.unsubscribe(room);
  }

  subscribers(room: string): Promise<number> {
    return this.#shard.subscribers(room);
  }

  heard(): Promise<void> {
    return this.#shard.subscriptions.heard();
  }

  problem(): string | null {
    return this.#shard.problem();
  }

  status(): BackplaneStatus {
    return this.#shard.status();
  }

  stop(): void {
    this.#closing.abort();
    this.#shard.stop();
  }

  close(): void {
    this.#shard.close();
  }
}
