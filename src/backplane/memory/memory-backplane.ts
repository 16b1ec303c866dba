/**
 * The whole broker in one process: what a single node uses when no Redis is configured, and what every test
 * that is not about Redis uses. It keeps the promises of the Redis backplane, by the same conformance suite.
 */

import type { Clock } from '../../util/clock.ts';
import { EndOfTurn } from '../../util/end-of-turn.ts';
import { type Scheduler, systemScheduler, type Timer } from '../../util/scheduler.ts';
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
  SHUTTING_DOWN,
  unavailable,
} from '../backplane.ts';
import { type Envelope, finishEnvelope } from '../envelope.ts';
import type { HistoryPolicy } from '../history-policy.ts';
import { PublishQueue } from '../publish-queue.ts';
import type { BatchResult, RoomBatch } from '../room-batch.ts';
import { MemoryAcks, type RoomAcks } from './memory-acks.ts';
import { type KeptDenial, MemoryDenials } from './memory-denials.ts';
import { MemoryPresence } from './memory-presence.ts';
import { type Commit, RoomLog } from './room-log.ts';

export interface MemoryBackplaneOptions {
  /** Exactly eight ASCII characters. */
  readonly nodeId: string;
  readonly clock: Clock;
  /** How long an idempotency key is remembered. */
  readonly dedupWindowMs: number;
  /** How long an unused room keeps its numbering. */
  readonly metaTtlMs: number;
  /** The same for a room that never had a message. Default `EMPTY_META_TTL_MS`; never more than `metaTtlMs`. */
  readonly emptyMetaTtlMs?: number;
  /** How long a room's acks are kept, from the last ack on. */
  readonly acksTtlMs: number;
  /** Maximum denials at once. Default `MAX_DENIALS`. */
  readonly maxDenials?: number;
  /** How often expired data is dropped from unused rooms. Default a tenth of `metaTtlMs`, at most 30 s. */
  readonly sweepMs?: number;
  /** Timers and the end of the turn. Default those of the process. */
  readonly scheduler?: Scheduler;
  /** What outlives this backplane: the next node of the process may start from it. Default: nothing does. */
  readonly store?: MemoryStore;
}

/** What the backplane keeps: rooms with their messages and keys, acks, and denials. */
export class MemoryStore {
  readonly rooms = new Map<string, RoomLog>();
  readonly acks = new Map<string, RoomAcks>();
  readonly denials = new Map<string, KeptDenial>();
}

const MAX_SWEEP_MS = 30_000;
const NUMBERLESS: BatchResult = { epoch: '', first: 0, duplicates: null };
const NO_NEWEST: NewestPage = { mark: 0, messages: [] };
const NO_HISTORY: HistoryPage = { epoch: '', offset: 0, envelopes: [] };

export class MemoryBackplane implements Backplane {
  /** A read ends in the turn in which it starts. */
  readonly readsAtOnce = 1;
  readonly presence: MemoryPresence;
  readonly acks: MemoryAcks;
  readonly denials: MemoryDenials;
  readonly #options: MemoryBackplaneOptions;
  readonly #scheduler: Scheduler;
  readonly #endOfTurn: EndOfTurn;
  readonly #queue = new PublishQueue();
  readonly #rooms: Map<string, RoomLog>;
  readonly #subscribed = new Set<string>();
  #events: BackplaneEvents | null = null;
  #isClosed = false;
  #sweeper: Timer | undefined;

  constructor(options: MemoryBackplaneOptions) {
    this.#options = options;
    this.#scheduler = options.scheduler ?? systemScheduler;
    this.#endOfTurn = new EndOfTurn(this.#scheduler, () => this.#flush());
    const { nodeId, clock, acksTtlMs, maxDenials, store = new MemoryStore() } = options;
    this.#rooms = store.rooms;
    this.presence = new MemoryPresence({
      nodeId,
      scheduler: this.#scheduler,
      isSubscribed: (room) => this.#subscribed.has(room),
    });
    this.denials = new MemoryDenials(clock, maxDenials, store.denials);
    this.acks = new MemoryAcks({
      clock,
      ttlMs: acksTtlMs,
      rooms: store.acks,
      position: (room, history, begin) => this.#position(room, history, begin),
    });
  }

  async start(events: BackplaneEvents): Promise<void> {
    this.#events = events;
    const sweepMs = this.#options.sweepMs ?? Math.min(MAX_SWEEP_MS, this.#options.metaTtlMs / 10);
    this.#sweeper = this.#scheduler.every(sweepMs, () => this.#sweep());
  }

  publish(request: PublishRequest): void {
    if (this.#isClosed) {
      const error = unavailable('publish', SHUTTING_DOWN);
      this.#scheduler.atEndOfTurn(() => request.settled(error, '', 0, false));
      return;
    }
    this.#queue.push(request, this.#options.clock.nowMs());
    this.#endOfTurn.request();
  }

  async subscribe(room: string): Promise<void> {
    if (this.#isClosed) throw unavailable('subscribe', SHUTTING_DOWN);
    this.#subscribed.add(room);
  }

  resubscribe(room: string): Promise<void> {
    return this.subscribe(room);
  }

  unsubscribe(room: string): void {
    this.#subscribed.delete(room);
  }

  async read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage> {
    if (this.#isClosed) throw unavailable('read', SHUTTING_DOWN);
    if (history.messages === 0) return NO_HISTORY;
    return this.#read(room, history, options);
  }

  async readNewest(room: string, history: HistoryPolicy): Promise<NewestPage> {
    if (this.#isClosed) throw unavailable('read', SHUTTING_DOWN);
    return this.#rooms.get(room)?.newest(history.ageMs, this.#options.clock.nowMs()) ?? NO_NEWEST;
  }

  async renewEpoch(room: string, _history: HistoryPolicy, epoch: string, seen: number): Promise<void> {
    if (this.#isClosed) throw unavailable('read', SHUTTING_DOWN);
    this.#rooms.get(room)?.renewEpoch(epoch, seen);
  }

  async clearHistory(room: string, history: HistoryPolicy): Promise<RoomPosition> {
    if (this.#isClosed) throw unavailable('clear', SHUTTING_DOWN);
    if (history.messages === 0) return NO_HISTORY;
    return this.#rooms.get(room)?.clear() ?? NO_HISTORY;
  }

  async subscribers(room: string): Promise<number> {
    if (this.#isClosed) throw unavailable('subscribe', SHUTTING_DOWN);
    return this.#subscribed.has(room) ? 1 : 0;
  }

  async signal(text: string): Promise<void> {
    if (this.#isClosed) throw unavailable('signal', SHUTTING_DOWN);
    this.#scheduler.atEndOfTurn(() => {
      if (!this.#isClosed) this.#events?.signal(text);
    });
  }

  status(): BackplaneStatus {
    if (this.#isClosed) return { ready: false, reason: 'the memory backplane is closed' };
    if (this.#events === null) return { ready: false, reason: 'the memory backplane is not started' };
    return { ready: true, reason: null };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sweeper?.cancel();
    const error = unavailable('publish', SHUTTING_DOWN);
    for (const batch of this.#queue.takeAll()) batch.fail(error);
    if (this.#options.store === undefined) {
      this.#rooms.clear();
      this.acks.clear();
      this.denials.clear();
    }
    this.denials.close();
    await this.presence.close();
    this.#subscribed.clear();
  }

  #flush(): void {
    for (const batch of this.#queue.takeAll()) {
      const { envelope, result } = this.#commit(batch);
      if (envelope !== null) this.#deliver(batch.room, envelope);
      batch.settle(result);
    }
  }

  #commit(batch: RoomBatch): Commit {
    const { nodeId, clock, dedupWindowMs } = this.#options;
    const sentAtMs = clock.wallMs();
    if (batch.isSignal) {
      const { epoch, offset } = this.#rooms.get(batch.room)?.position ?? NO_HISTORY;
      return { envelope: finishEnvelope(batch.draft(nodeId, sentAtMs), epoch, offset), result: NUMBERLESS };
    }
    // A room that needs neither numbers nor keys leaves nothing behind.
    if (!batch.hasHistory && batch.keyed === 0 && !batch.keepsNewest) {
      return { envelope: finishEnvelope(batch.draft(nodeId, sentAtMs), '', 0), result: NUMBERLESS };
    }
    return this.#log(batch.room).commit(batch, nodeId, sentAtMs, clock.nowMs(), dedupWindowMs);
  }

  #deliver(room: string, envelope: Envelope): void {
    if (this.#subscribed.has(room)) this.#events?.envelope(room, envelope);
  }

  #position(room: string, history: HistoryPolicy, begin: boolean): HistoryPage {
    if (this.#isClosed) throw unavailable('acks', SHUTTING_DOWN);
    return this.#read(room, history, { limit: 0, begin });
  }

  #read(room: string, history: HistoryPolicy, options: ReadOptions): HistoryPage {
    const log = options.begin === true ? this.#log(room) : this.#rooms.get(room);
    return log?.read(history, options, this.#options.clock.nowMs()) ?? NO_HISTORY;
  }

  #log(room: string): RoomLog {
    let log = this.#rooms.get(room);
    if (log === undefined) {
      log = new RoomLog(this.#options.clock.nowMs());
      this.#rooms.set(room, log);
    }
    return log;
  }

  #sweep(): void {
    const { clock, metaTtlMs, emptyMetaTtlMs = EMPTY_META_TTL_MS } = this.#options;
    const nowMs = clock.nowMs();
    this.acks.sweep();
    this.denials.sweep();
    for (const [room, log] of this.#rooms) {
      const isUnused = log.isEmpty && !this.acks.isKeptIn(room);
      const lifeMs = isUnused ? Math.min(metaTtlMs, emptyMetaTtlMs) : metaTtlMs;
      if (log.sweep(nowMs, lifeMs)) this.#rooms.delete(room);
    }
  }
}
