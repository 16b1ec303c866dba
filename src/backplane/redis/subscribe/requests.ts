/**
 * What one server is asked to send, and no longer to send. Requests of one turn go out as few commands.
 *
 * The last request for a room counts: commands on a link run in order, and a room is sent SUBSCRIBE and
 * UNSUBSCRIBE in the order of the requests, without those that cancel out within a turn.
 */
import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { type BackplaneError, type Place, unavailable } from '../../backplane.ts';
import type { Link } from '../link/link.ts';
import { errorFromCall, isAnswer, isNotRun } from '../link/redis-errors.ts';
import { Astray } from './astray.ts';
import type { Channels } from './channels.ts';
import { NO_FORMER, type Subscription } from './subscription.ts';
import type { Wanted } from './wanted.ts';

export interface RequestsOptions {
  readonly commandTimeoutMs: number;
  /** These (null: signals) were not heard for a while, and are now. */
  regained?(places: ReadonlySet<Place>): void;
  /** The server does not have the slot of something that is wanted here, or no longer. */
  misplaced?(): void;
}

export class Requests {
  readonly #link: Link;
  readonly #wanted: Wanted;
  readonly #channels: Channels;
  readonly #options: RequestsOptions;
  #changed: Subscription[] = [];
  readonly #endOfTurn = new EndOfTurn(systemScheduler, () => this.#flush());
  readonly #astray: Astray;
  /** Subscribed again after a while. Told when no more of them are under way. */
  #regained = new Set<Place>();
  #regaining = 0;
  /** Counts connections of the link: what belongs to an earlier one says nothing about this one. */
  #generation = 0;

  constructor(link: Link, wanted: Wanted, channels: Channels, options: RequestsOptions) {
    this.#link = link;
    this.#wanted = wanted;
    this.#channels = channels;
    this.#options = options;
    this.#astray = new Astray({
      found: () => options.misplaced?.(),
      ask: (subscriptions) => this.changeAll(subscriptions),
    });
  }

  changeAll(subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) this.change(subscription);
  }

  /** Something else is wanted of it than before. */
  change(subscription: Subscription): void {
    this.#changed.push(subscription);
    // Not a microtask: joins of one turn come from many sockets, with microtasks run between them.
    this.#endOfTurn.request();
  }

  /** Has Redis send them no longer. */
  end(subscriptions: readonly Subscription[]): void {
    if (!this.#link.isUp) return;
    for (const group of this.#channels.groups(subscriptions)) {
      this.#channels.unsubscribe(group).catch((error: BackplaneError) => {
        if (!isNotRun(error)) this.#link.reconnect('no reply to UNSUBSCRIBE');
      });
    }
  }

  /** Subscribes to everything again, on a new link. Resolves with what went wrong, or null; undefined if that link is gone meanwhile. */
  async subscribeAll(subscriptions: readonly Subscription[]): Promise<BackplaneError | null | undefined> {
    const generation = ++this.#generation;
    const groups = this.#channels.groups(subscriptions);
    const errors = await Promise.all(groups.map((group) => this.#subscribeGroup(group)));
    if (generation !== this.#generation || !this.#link.isUp) return undefined;
    return errors.find((error) => error !== null) ?? null;
  }

  /** It is wanted here no longer: whoever waits for it gets the error. */
  forget(subscription: Subscription, error: BackplaneError): void {
    this.#wanted.delete(subscription);
    this.#astray.delete(subscription);
    leaveFormer(subscription);
    // Does nothing for subscriptions answered before.
    subscription.reject(error);
  }

  /** Another server's `Subscriptions` ask for it from now on. */
  handedOver(subscription: Subscription): void {
    this.#astray.delete(subscription);
  }

  /** The server does not send it, or no longer. `isAgain`: it was asked for just now. */
  strayed(subscription: Subscription, isAgain: boolean): void {
    subscription.isSent = false;
    subscription.isMissing = true;
    this.#astray.add(subscription, isAgain);
  }

  linkDown(): void {
    this.#generation++;
    this.#regained.clear();
    this.#astray.clear();
  }

  close(): void {
    this.#astray.clear();
  }

  #flush(): void {
    const added: Subscription[] = [];
    const removed: Subscription[] = [];
    for (const subscription of new Set(this.#changed)) {
      if (!this.#wanted.has(subscription)) continue;
      if (!subscription.isWanted) removed.push(subscription);
      else if (!subscription.isSent) added.push(subscription);
    }
    this.#changed = [];
    this.#unsubscribeAll(removed);
    if (!this.#link.isUp) return;
    for (const group of this.#channels.groups(added)) this.#startGroup(group);
  }

  #unsubscribeAll(removed: readonly Subscription[]): void {
    const error = unavailable('subscribe', 'the room was unsubscribed before the reply');
    const sent = removed.filter((subscription) => subscription.isSent);
    for (const subscription of removed) this.forget(subscription, error);
    this.end(sent);
  }

  #startGroup(group: readonly Subscription[]): void {
    const generation = this.#generation;
    void this.#subscribeGroup(group).then((error) => {
      if (error === null || generation !== this.#generation) return;
      if (isAnswer(error)) return this.#refused(group, error);
      // A link that does not answer may still carry it out later: only a new link has exactly the requested
      // subscriptions.
      this.#link.reconnect(`subscribing failed: ${error.message}`);
    });
  }

  /** Redis replied that it refuses. If that is of rooms that somebody has asked for just now, the others stay on the link. */
  #refused(group: readonly Subscription[], { message }: BackplaneError): void {
    if (group.some((subscription) => this.#isKept(subscription)))
      return this.#link.reconnect(`subscribing failed: ${message}`);
    const error = unavailable('subscribe', message);
    for (const subscription of group) if (this.#wanted.has(subscription)) this.forget(subscription, error);
  }

  /** Resolves with what went wrong, or null. Never rejects. Rooms that are elsewhere are no error: they go astray. */
  async #subscribeGroup(group: readonly Subscription[]): Promise<BackplaneError | null> {
    const generation = this.#generation;
    const regains = group.some(({ isMissing }) => isMissing);
    for (const subscription of group) subscription.isSent = true;
    if (regains) this.#regaining++;
    try {
      await this.#channels.subscribe(group);
      if (generation === this.#generation) this.#confirmed(group);
      return null;
    } catch (cause) {
      const error = errorFromCall(cause, 'subscribe');
      if (!isNotRun(error)) return error;
      if (generation === this.#generation) this.#refusedElsewhere(group, error);
      return null;
    } finally {
      if (regains) this.#regaining--;
      this.#tellRegained();
    }
  }

  #confirmed(group: readonly Subscription[]): void {
    for (const subscription of group) {
      // Meanwhile it may be another server's, or Redis may have taken it back.
      if (!this.#wanted.has(subscription) || !subscription.isSent) continue;
      subscription.isConfirmed = true;
      subscription.resolve();
      leaveFormer(subscription);
      if (!subscription.isMissing) continue;
      subscription.isMissing = false;
      if (subscription !== this.#wanted.probe) this.#regained.add(subscription.room);
    }
  }

  #tellRegained(): void {
    if (this.#regaining > 0 || this.#regained.size === 0) return;
    const regained = this.#regained;
    this.#regained = new Set();
    this.#options.regained?.(regained);
  }

  #refusedElsewhere(group: readonly Subscription[], error: BackplaneError): void {
    const earliest = systemScheduler.nowMs() - this.#options.commandTimeoutMs;
    for (const subscription of group) {
      if (!this.#wanted.has(subscription)) continue;
      const mayWait = this.#isKept(subscription) || subscription.askedAtMs > earliest;
      if (mayWait) this.strayed(subscription, true);
      else this.forget(subscription, unavailable('subscribe', error.message));
    }
  }

  /** Whether it is asked for until it is there: nobody waits for it to give up. */
  #isKept(subscription: Subscription): boolean {
    return subscription === this.#wanted.probe || subscription.isConfirmed;
  }
}

function leaveFormer(subscription: Subscription): void {
  const { former } = subscription;
  if (former.length === 0) return;
  subscription.former = NO_FORMER;
  for (const one of former) one.leave(subscription);
}
