import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { BackplaneError, type Place, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import { errorFromReply, isNotRun } from '../link/redis-errors.ts';
import type { ShardAccess } from '../link/shard-calls.ts';
import { presenceScript, type ScriptArgument } from '../scripts/scripts.ts';
import type { EmptiedRooms } from './emptied-rooms.ts';
import type { Lease } from './lease.ts';
import { type PresenceParts, STAGE } from './presence-parts.ts';
import type { PresenceQueue, TakeLimits, UpdateBatch } from './presence-queue.ts';

export interface PresenceWriterOptions extends PresenceParts {
  readonly queue: PresenceQueue;
  readonly lease: Lease;
  readonly emptied: EmptiedRooms;
  /** Why nothing can be written of that room now, or with null of none, or null. */
  problem(place: Place): string | null;
  /** The store may have entries in rooms that are empty here. */
  mustSweep(): boolean;
}

/** About 2 ms of Redis's time a call: publishes wait behind it. A change takes 4 to 9 us. */
const CALL_LIMITS: TakeLimits = { updates: 256, bytes: 256 * 1024 };
const RETRY_MS = 20;
/** How the script's reply for a room starts if the changes are done but not announced. */
const UNANNOUNCED = '!';

/** Waits until the updates of a room (null: of all) up to a number are written. */
interface Waiter {
  readonly room: string | null;
  readonly number: number;
  resolve(): void;
  reject(error: BackplaneError): void;
}

export class PresenceWriter {
  readonly #options: PresenceWriterOptions;
  readonly #turn = new EndOfTurn(systemScheduler, () => void this.#run());
  #waiters: Waiter[] = [];
  /** Taken, and not answered yet. */
  readonly #inFlight = new Set<UpdateBatch>();
  #isRunning = false;
  #isStopped = false;

  constructor(options: PresenceWriterOptions) {
    this.#options = options;
  }

  /** Something waits, or Redis may be back. */
  wake(): void {
    if (this.#isRunning || this.#isStopped || this.#options.queue.isEmpty) return;
    this.#turn.request();
  }

  /**
   * Resolves when what waits now for the room, or for all with null, is written. Rejects if that is not
   * possible at once.
   */
  flushed(room: string | null): Promise<void> {
    const waiter = { room, number: this.#options.queue.number };
    if (!this.#isWaiting(waiter)) return Promise.resolve();
    if (this.#isStopped) return Promise.reject(unavailable(STAGE, SHUTTING_DOWN));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ ...waiter, resolve, reject });
      this.wake();
    });
  }

  /**
   * Takes rooms off the node's list that it left long enough ago. Not awaited: a room that stays on the list costs only one look of a
   * sweep. Rooms stay until the list was swept; otherwise entries of an earlier lease would stay in them forever.
   */
  unregister(): void {
    if (this.#options.mustSweep()) return;
    const { shards, keys, nodeId, log, emptied } = this.#options;
    const rooms = emptied.takeDue(systemScheduler.nowMs());
    if (rooms.length === 0) return;
    const call = ({ redis }: ShardAccess) => redis.hdel(keys.nodeRooms(nodeId), ...rooms);
    shards
      .ask(null, call, STAGE)
      .catch((error: BackplaneError) =>
        log.debug({ error: error.message }, 'rooms stay on the list of this node'),
      );
  }

  stop(): void {
    this.#isStopped = true;
    this.#reject(unavailable(STAGE, SHUTTING_DOWN));
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (!this.#isStopped && !this.#options.queue.isEmpty) await this.#write();
    } catch (error) {
      // Whatever the error, the changes are kept: the next renewal of the lease wakes this again.
      const reason = error as BackplaneError;
      this.#options.log.debug({ error: reason.message }, 'cannot write presence changes yet');
      this.#reject(reason);
      // A slot moves: soon it is there.
      if (isNotRun(reason)) systemScheduler.after(RETRY_MS, () => this.wake());
    } finally {
      this.#isRunning = false;
    }
  }

  /** Rejects if some must be written again. */
  async #write(): Promise<void> {
    const { queue, lease, problem, shards } = this.#options;
    const reason = problem(null);
    if (reason !== null) throw unavailable(STAGE, reason);
    // The sweep of this node could miss entries under a lapsed lease, which would stay forever.
    if (!lease.isValid && !(await lease.renew())) throw unavailable(STAGE, 'cannot renew the presence lease');
    // Of many servers one may be away: the rooms of the others need not wait for it.
    let unwritable: string | null = null;
    let batches = queue.take(CALL_LIMITS, (room) => {
      const roomProblem = problem(room);
      unwritable ??= roomProblem;
      return roomProblem === null;
    });
    if (batches.length === 0) throw unavailable(STAGE, unwritable ?? 'nothing can be written');
    for (const batch of batches) this.#inFlight.add(batch);
    try {
      const refusal = await this.#register(batches);
      if (refusal !== null) {
        const unregistered = batches.filter(needsRegister);
        for (const batch of unregistered) this.#putBack(batch, false);
        batches = batches.filter((batch) => !unregistered.includes(batch));
      }
      const groups = shards.grouped(batches, ({ room }) => room.name);
      const refusals = await Promise.all(groups.map((group) => this.#writeGroup(group)));
      const failure = refusals.find((error) => error !== null) ?? refusal;
      const hasWritten = groups.length > 1 && refusals.includes(null);
      if (failure !== null && !hasWritten) throw failure;
      if (failure !== null) this.#rejectOf(groups.filter((_, i) => refusals[i] !== null).flat(), failure);
    } catch (error) {
      const isDoubtful = (error as BackplaneError).code === 'timeout';
      // Each call that was answered has its own outcome already.
      for (const batch of this.#inFlight) this.#putBack(batch, isDoubtful);
      throw error;
    }
    this.#resolve();
  }

  /** Rooms of one shard. Resolves with why some must be written again, or null. */
  async #writeGroup(group: readonly UpdateBatch[]): Promise<BackplaneError | null> {
    if (group.length === 0) return null;
    try {
      return this.#applyReplies(group, await this.#send(group));
    } catch (cause) {
      const error = this.#unlessLeaseLost(cause as BackplaneError);
      for (const batch of group)
        if (this.#inFlight.has(batch)) this.#putBack(batch, error.code === 'timeout');
      return error;
    }
  }

  /** Redis was flushed: a renewal finds out, and then all members enter again. */
  #unlessLeaseLost(error: BackplaneError): BackplaneError {
    if (!error.message.startsWith('redis: NOLEASE')) return error;
    void this.#options.lease.renew();
    return unavailable(STAGE, 'the presence lease is lost');
  }

  #putBack(batch: UpdateBatch, isDoubtful: boolean): void {
    this.#inFlight.delete(batch);
    this.#options.queue.putBack(batch, isDoubtful);
  }

  /**
   * Puts rooms on the node's list, before the first entry: a sweep of the node finds all its rooms there.
   * Returns why Redis
   * refused, as when it is full: other rooms, where members only leave, need no entry there and do not wait
   * for that.
   */
  async #register(batches: readonly UpdateBatch[]): Promise<BackplaneError | null> {
    const { shards, keys, nodeId, lease } = this.#options;
    const fields: string[] = [];
    const fresh = batches.filter(needsRegister);
    for (const { room } of fresh) fields.push(room.name, `${lease.term}:${room.announce ? '1' : '0'}`);
    if (fresh.length === 0) return null;
    const { term } = lease;
    try {
      await shards.ask(null, ({ redis }) => redis.hset(keys.nodeRooms(nodeId), ...fields), STAGE);
    } catch (error) {
      if (error instanceof BackplaneError && error.code === 'unavailable') return error;
      throw error;
    }
    // Otherwise the list belonged to the lease just lost; the rooms come again, with their members.
    if (term === lease.term) for (const { room } of fresh) room.registered = room.announce;
    return null;
  }

  /** Resolves with the reply of the script: an error message for each room, '' for none. */
  async #send(batches: readonly UpdateBatch[]): Promise<string[]> {
    const { shards, clock, metrics } = this.#options;
    const sentAtMs = clock.nowMs();
    try {
      const call = (shard: ShardAccess) => {
        const { names, args } = this.#call(batches, shard.isCluster);
        return presenceScript.callMany(shard, names, args, metrics);
      };
      const reply = await shards.ask(batches[0]!.room.name, call, STAGE);
      return (reply as Buffer[]).map(String);
    } finally {
      const changes = batches.reduce((sum, { updates }) => sum + updates.length, 0);
      metrics.presenceBatch(changes, batches.length, clock.nowMs() - sentAtMs);
    }
  }

  #call(batches: readonly UpdateBatch[], isCluster: boolean): { names: string[]; args: ScriptArgument[] } {
    const { keys, lease, nodeId } = this.#options;
    const term = Buffer.allocUnsafe(4);
    term.writeUInt32BE(lease.term);
    const names = [keys.meta(batches[0]!.room.name)];
    // On a cluster the leases may be on another server than the rooms.
    const args: ScriptArgument[] = [isCluster ? term : Buffer.concat([term, Buffer.from(nodeId)])];
    for (const { room, updates } of batches) {
      const { name } = room;
      names.push(keys.presence(name), keys.presenceUsers(name), keys.presenceOrder(name), keys.channel(name));
      args.push(room.announce ? '1' : '0', updates.length);
      for (const { connection, who } of updates) args.push(connection, who === null ? '' : asBuffer(who));
    }
    if (!isCluster) names.push(keys.leases());
    return { names, args };
  }

  /** Returns why Redis refused some for now, or null. */
  #applyReplies(batches: readonly UpdateBatch[], problems: readonly string[]): BackplaneError | null {
    for (const batch of batches) this.#inFlight.delete(batch);
    const { queue, emptied } = this.#options;
    let refusal: BackplaneError | null = null;
    for (const [i, batch] of batches.entries()) {
      const problem = this.#unlessDone(batch, problems[i] ?? 'no reply for a room');
      if (problem !== '') refusal = this.#refused(batch, errorFromReply(problem, STAGE)) ?? refusal;
      else if (queue.written(batch)) emptied.add(batch.room.name, systemScheduler.nowMs());
    }
    this.unregister();
    return refusal;
  }

  /**
   * '' for changes that are done, even if Redis did not announce them: doing them again would not announce
   * them either.
   */
  #unlessDone({ room }: UpdateBatch, problem: string): string {
    if (!problem.startsWith(UNANNOUNCED)) return problem;
    const error = problem.slice(UNANNOUNCED.length);
    this.#options.log.warn({ room: room.name, error }, 'presence changes of a room not announced');
    return '';
  }

  /**
   * Returns the error if trying again may help. Otherwise drops the changes: they would hold up all others.
   */
  #refused(batch: UpdateBatch, error: BackplaneError): BackplaneError | null {
    const { queue, log } = this.#options;
    if (error.code === 'unavailable') {
      queue.putBack(batch, false);
      return error;
    }
    log.warn({ room: batch.room.name, error: error.message }, 'presence changes of a room dropped');
    queue.dropped(batch);
    return null;
  }

  #isWaiting({ room, number }: Pick<Waiter, 'room' | 'number'>): boolean {
    const { queue } = this.#options;
    for (const batch of this.#inFlight) if (room === null || batch.room.name === room) return true;
    return queue.oldest(room) <= number;
  }

  #resolve(): void {
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => this.#isWaiting(waiter));
    for (const waiter of waiters) if (!this.#waiters.includes(waiter)) waiter.resolve();
  }

  /** Rejects the waiters of these rooms, which could not be written. */
  #rejectOf(batches: readonly UpdateBatch[], error: BackplaneError): void {
    const rooms = new Set(batches.map(({ room }) => room.name));
    const isOfThem = ({ room }: Waiter) => room === null || rooms.has(room);
    const rejected = this.#waiters.filter(isOfThem);
    this.#waiters = this.#waiters.filter((waiter) => !isOfThem(waiter));
    for (const waiter of rejected) waiter.reject(error);
  }

  #reject(error: BackplaneError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}

function needsRegister({ room }: UpdateBatch): boolean {
  return room.registered !== room.announce && room.stored.size > 0;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
