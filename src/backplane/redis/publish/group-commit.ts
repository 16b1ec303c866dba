/**
 * When batches are sent. One call is in flight at a time; messages that arrive during it go with the next
 * one, at the end of the turn that brought the reply, with everything else from that turn. So there is no
 * timer and no added wait when idle, and under load a call carries much. It also keeps the order: nothing is
 * ever sent while the outcome of something earlier is open, except after a timeout.
 *
 * After a timeout Redis may be frozen. Waiting messages are settled `unavailable`, since they were never
 * sent, and so are new ones, until a PING on the same link is answered. A link is first in, first out: an
 * answered PING means that the late call was executed, or never will be, so continuing cannot reorder. An
 * unanswered PING drops the link.
 *
 * On a Redis Cluster what waits is given back instead: the master may be handing over, and another one takes it then.
 */

import type { Clock } from '../../../util/clock.ts';
import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { BackplaneError, type PublishRequest, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import { PublishQueue, type TakeLimits } from '../../publish-queue.ts';
import type { RoomBatch } from '../../room-batch.ts';
import { isNotRun, StoredError } from '../link/redis-errors.ts';
import type { Outcome } from './publisher.ts';

export interface GroupCommitOptions {
  readonly clock: Clock;
  /** What messages call the server. Default `redis`. */
  readonly name?: string;
  /** Messages that waited longer than this are failed. */
  readonly maxWaitMs: number;
  /** Sends batches, resolves with an outcome for each. MUST NOT reject. */
  send(batches: readonly RoomBatch[]): Promise<Outcome[]>;
  /** Why nothing can be sent now, or null. */
  problem(): string | null;
  /** Resolves when Redis answered on the link that `send` uses. */
  ping(): Promise<unknown>;
  /** Drops that link. */
  reconnect(reason: string): void;
  /** `isSuspect` changed. */
  suspectChanged(): void;
  /**
   * Of a Redis Cluster: the server did not run these batches, in order: it replied so, or they were not sent. Whoever takes them settles
   * them. Then a call has one batch of each room at most, so none can overtake one that was not run.
   */
  notRun?(batches: readonly RoomBatch[]): void;
}

/** At most about 5 ms of Redis's time a call: others wait behind it. */
const CALL_LIMITS: TakeLimits = { batches: 512, messages: 8_192, bytes: 1024 * 1024 };
const MAX_WAITING_MESSAGES = 50_000;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #queue = new PublishQueue();
  #inFlight: readonly RoomBatch[] | null = null;
  readonly #endOfTurn = new EndOfTurn(systemScheduler, () => this.#flush());
  readonly #limits: TakeLimits;
  #isSuspect = false;
  #isClosed = false;
  /** Why what the server says to have stored does not count, or null. */
  #distrust: string | null = null;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#limits = options.notRun === undefined ? CALL_LIMITS : { ...CALL_LIMITS, distinctRooms: true };
  }

  /** A call was not answered in time, and Redis has not answered since. */
  get isSuspect(): boolean {
    return this.#isSuspect;
  }

  publish(request: PublishRequest): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      const error = unavailable('publish', refusal);
      systemScheduler.atEndOfTurn(() => request.settled(error, '', 0, false));
      return;
    }
    this.#queue.push(request, this.#options.clock.nowMs());
    this.#schedule();
  }

  /** Sends batches that wait elsewhere, after all others. */
  append(batches: readonly RoomBatch[]): void {
    this.#queue.append(batches);
    this.#schedule();
  }

  /** Takes back what waits of these rooms. */
  withdraw(has: (room: string) => boolean): RoomBatch[] {
    return this.#queue.takeOf(has);
  }

  /** Whether the outcome of a batch of such a room is open. */
  isSending(has: (room: string) => boolean): boolean {
    return this.#inFlight?.some((batch) => has(batch.room)) === true;
  }

  /** The link is down: waiting messages were never sent. The link itself rejects those in flight. */
  linkDown(): void {
    this.#dropWaiting(this.#options.problem() ?? 'the link to Redis was lost');
  }

  /** Another server took over: this one may have been frozen meanwhile, and store what it then drops. That it did not run a batch counts. */
  distrust(reason: string): void {
    this.#distrust = reason;
  }

  /** The link is new: it has no lost reply. */
  linkUp(): void {
    this.#setSuspect(false);
  }

  /** Settles everything at once. */
  close(reason = SHUTTING_DOWN): void {
    this.#isClosed = true;
    this.#failWaiting(reason);
    const inFlight = this.#inFlight;
    this.#inFlight = null;
    const error = new BackplaneError('timeout', 'publish', `${reason}, before Redis answered`);
    for (const batch of inFlight ?? []) batch.fail(error);
  }

  #refusal(): string | null {
    if (this.#isClosed) return SHUTTING_DOWN;
    const problem = this.#options.problem();
    if (problem !== null) return problem;
    if (this.#isSuspect) return this.#silence;
    const isFull = this.#queue.messages >= MAX_WAITING_MESSAGES || this.#queue.bytes >= MAX_WAITING_BYTES;
    return isFull ? 'too many messages wait for Redis' : null;
  }

  /** Something else on the link was not answered in time. */
  noAnswer(): void {
    this.#suspect();
  }

  #schedule(): void {
    if (this.#inFlight === null) this.#endOfTurn.request();
  }

  #flush(): void {
    if (this.#inFlight !== null) return;
    const batches = this.#takeUnexpired();
    if (batches.length === 0) return;
    this.#inFlight = batches;
    // `send` never rejects, and the functions called below handle their own errors.
    void this.#options.send(batches).then((outcomes) => this.#answered(batches, outcomes));
  }

  #takeUnexpired(): RoomBatch[] {
    const oldestMs = this.#options.clock.nowMs() - this.#options.maxWaitMs;
    while (true) {
      const taken = this.#queue.take(this.#limits);
      const fresh = taken.filter((batch) => batch.sinceMs >= oldestMs);
      if (fresh.length === taken.length) return fresh;
      const error = unavailable('publish', 'waited too long for Redis');
      for (const batch of taken) if (batch.sinceMs < oldestMs) batch.fail(error);
      if (fresh.length > 0) return fresh;
    }
  }

  #answered(batches: readonly RoomBatch[], outcomes: readonly Outcome[]): void {
    // `close` has settled them.
    if (this.#inFlight !== batches) return;
    this.#inFlight = null;
    let isLate = false;
    const notRun: RoomBatch[] = [];
    batches.forEach((batch, i) => {
      const outcome = outcomes[i]!;
      if (outcome instanceof BackplaneError) {
        isLate ||= outcome.code === 'timeout' && !(outcome instanceof StoredError);
        if (this.#options.notRun !== undefined && isNotRun(outcome)) notRun.push(batch);
        else batch.fail(outcome);
      } else if (this.#distrust === null) batch.settle(outcome);
      else batch.fail(new BackplaneError('timeout', 'publish', `${this.#distrust}, before Redis answered`));
    });
    // Together, so that they stay in order.
    if (isLate && this.#options.notRun !== undefined) notRun.push(...this.#queue.takeAll());
    if (notRun.length > 0) this.#options.notRun?.(notRun);
    if (isLate) this.#suspect();
    else this.#schedule();
  }

  #suspect(): void {
    this.#dropWaiting(this.#silence);
    // A link that is down cannot answer; it comes back without lost replies.
    if (this.#isSuspect || this.#isClosed || this.#options.problem() !== null) return;
    this.#setSuspect(true);
    this.#options.ping().then(
      () => this.#setSuspect(false),
      () => this.#options.reconnect('redis did not answer a PING'),
    );
  }

  get #silence(): string {
    return `${this.#options.name ?? 'redis'} does not answer`;
  }

  #setSuspect(isSuspect: boolean): void {
    if (this.#isSuspect === isSuspect) return;
    this.#isSuspect = isSuspect;
    this.#options.suspectChanged();
  }

  /** They were not sent, and cannot be now. */
  #dropWaiting(reason: string): void {
    const { notRun } = this.#options;
    if (notRun === undefined || this.#isClosed) return this.#failWaiting(reason);
    const waiting = this.#queue.takeAll();
    if (waiting.length > 0) notRun(waiting);
  }

  #failWaiting(reason: string): void {
    const error = unavailable('publish', reason);
    for (const batch of this.#queue.takeAll()) batch.fail(error);
  }
}
