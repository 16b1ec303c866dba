/**
 * The channels that this node subscribes to on one server. After a lost link every room is subscribed again, by our
 * own code, to know when that is complete.
 *
 * A server of a Redis Cluster may lose rooms to another one. Then it refuses to subscribe to them, and takes back
 * what is subscribed. Such rooms are asked for again and again, here until they are taken over by the
 * `Subscriptions` of the other server.
 */
import { type BackplaneError, type Place, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import type { Keys } from '../keys/keys.ts';
import type { Link } from '../link/link.ts';
import { errorFromCall, isNotRun } from '../link/redis-errors.ts';
import { Arrivals, type ArrivalsOptions } from './arrivals.ts';
import { type Channels, PlainChannels } from './channels.ts';
import { Requests, type RequestsOptions } from './requests.ts';
import { ShardedChannels } from './sharded-channels.ts';
import { type Former, NO_FORMER, type Subscription } from './subscription.ts';
import { Wanted, type WantedOptions } from './wanted.ts';

export interface SubscriptionsOptions extends ArrivalsOptions, RequestsOptions, WantedOptions {
  /** The node's own channel, always subscribed. Null: it has none here, see `probeOn`. */
  readonly probeChannel: string | null;
  /** Whether the channel of all nodes is subscribed here from the start. Default true. */
  readonly hasSignals?: boolean;
  /** All rooms are subscribed again after the link came up, including the first time. */
  restored(): void;
}

export class Subscriptions implements Former {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #options: SubscriptionsOptions;
  readonly #channels: Channels;
  readonly #arrivals: Arrivals;
  readonly #wanted: Wanted;
  readonly #requests: Requests;
  /** Taken over by another server's, and still heard here: by the channel as it arrives. */
  readonly #leaving = new Map<string, Subscription>();
  #isRestored = false;

  constructor(link: Link, keys: Keys, options: SubscriptionsOptions) {
    this.#link = link;
    this.#keys = keys;
    this.#options = options;
    this.#arrivals = new Arrivals(options);
    this.#wanted = new Wanted(this.#arrivals, options);
    this.#channels = this.#buildChannels();
    this.#requests = new Requests(link, this.#wanted, this.#channels, options);
    this.#wanted.setProbe(options.probeChannel);
    if (options.hasSignals ?? true) this.#keepSignals();
  }

  get isRestored(): boolean {
    return this.#isRestored;
  }

  /** Whether a probe can arrive: its channel is subscribed. */
  get hearsProbe(): boolean {
    const { probe } = this.#wanted;
    return this.#isRestored && probe?.isSent === true && probe.isConfirmed;
  }

  /** Whether signals arrive. */
  get hearsSignals(): boolean {
    const signals = this.#wanted.of(null);
    return this.#isRestored && signals?.isSent === true && !signals.isMissing;
  }

  /**
   * Rejects with `unavailable` if the link is down or goes down before the reply; the room is then not
   * subscribed.
   */
  subscribe(room: string): Promise<void> {
    let subscription = this.#wanted.of(room);
    if (subscription?.isWanted === true) return subscription.confirmed;
    if (!this.#link.isUp) return Promise.reject(this.#unavailable());
    if (subscription === undefined) {
      subscription = this.#wanted.create(room, this.#keys.channel(room));
      this.#wanted.add(subscription);
    }
    subscription.isWanted = true;
    this.#requests.change(subscription);
    return subscription.confirmed;
  }

  /**
   * SUBSCRIBE of a channel that Redis believes subscribed does nothing, so it is unsubscribed first, in the
   * same write.
   */
  async resubscribe(room: string): Promise<void> {
    const subscription = this.#wanted.of(room);
    if (subscription?.isSent !== true) return this.subscribe(room);
    const group = [subscription];
    try {
      await Promise.all([this.#channels.unsubscribe(group), this.#channels.subscribe(group)]);
    } catch (cause) {
      const error = errorFromCall(cause, 'subscribe');
      if (isNotRun(error)) this.#requests.strayed(subscription, false);
      throw error;
    }
  }

  /**
   * Resolves when everything that Redis published before has arrived. With a room that has just moved here, also what the former server
   * published in it, unless that is lost.
   */
  async heard(room?: string): Promise<void> {
    if (!this.#link.isUp) throw this.#unavailable();
    const former = room === undefined ? NO_FORMER : (this.#wanted.of(room)?.former ?? NO_FORMER);
    await Promise.all([this.#channels.heard(), Promise.allSettled(former.map((one) => one.heard()))]);
  }

  unsubscribe(room: string): void {
    const subscription = this.#wanted.of(room);
    if (subscription === undefined) return;
    subscription.isWanted = false;
    this.#requests.change(subscription);
  }

  /** Has the node hear itself on another channel: one that the server has. */
  probeOn(channel: string | null): void {
    const former = this.#wanted.probe;
    if ((former?.channel ?? null) === channel) return;
    this.#wanted.setProbe(channel);
    if (this.#wanted.probe !== null) this.#requests.change(this.#wanted.probe);
    if (former?.isSent === true) this.#requests.end([former]);
  }

  // ---- rooms that move -------------------------------------------------------------------------------------

  /**
   * Takes over what another server had, of those rooms (null: signals). There it is heard until it is subscribed
   * here; then `regained` tells, since messages may have been missed in between.
   */
  takeOver(from: Subscriptions, isMoved: (place: Place) => boolean): void {
    this.#arrivals.tookOverFrom(from.#options);
    const moved = from.#handOver(isMoved);
    for (const subscription of moved) {
      this.#leaving.delete(subscription.arrivesAs);
      subscription.former = subscription.former.filter((former) => former !== this);
      subscription.isSent = false;
      subscription.isMissing = true;
      this.#wanted.add(subscription);
      const isLost = !this.#link.isUp && !subscription.isConfirmed;
      if (isLost) this.#requests.forget(subscription, this.#unavailable());
    }
    const subscribe = () => this.#requests.changeAll(moved);
    if (!moved.some(({ former }) => former.includes(from))) return subscribe();
    // What it has sent is to come before what is published here.
    from.heard().then(subscribe, subscribe);
  }

  /** Those that move, which are no longer this server's. */
  #handOver(isMoved: (place: Place) => boolean): Subscription[] {
    const moved = this.#wanted.all.filter(({ room }) => isMoved(room));
    for (const subscription of moved) {
      this.#requests.handedOver(subscription);
      if (!subscription.isSent || !this.#link.isUp) {
        this.#wanted.delete(subscription);
        continue;
      }
      this.#wanted.release(subscription);
      this.#leaving.set(subscription.arrivesAs, subscription);
      subscription.former = [...subscription.former, this];
    }
    return moved;
  }

  leave(subscription: Subscription): void {
    if (!this.#leaving.delete(subscription.arrivesAs)) return;
    this.#arrivals.delete(subscription);
    this.#requests.end([subscription]);
  }

  /** A channel is sent no longer, and nobody asked for that. */
  #lost(channel: string): void {
    const leaving = this.#leaving.get(channel);
    if (leaving !== undefined) {
      this.#leaving.delete(channel);
      this.#arrivals.delete(leaving);
      return;
    }
    const subscription = this.#wanted.byChannel(channel);
    if (subscription?.isSent === true) this.#requests.strayed(subscription, false);
  }

  // ---- the link --------------------------------------------------------------------------------------------

  /** Subscribes to everything again, on a new link. */
  async linkUp(): Promise<void> {
    const subscriptions = this.#wanted.all.filter((subscription) => subscription.isWanted);
    if (this.#wanted.probe !== null) subscriptions.unshift(this.#wanted.probe);
    // `restored` has all of them checked.
    for (const subscription of subscriptions) subscription.isMissing = false;
    const error = await this.#requests.subscribeAll(subscriptions);
    if (error === undefined) return;
    if (error !== null) return this.#link.reconnect(`subscribing failed: ${error.message}`);
    this.#isRestored = true;
    this.#link.works();
    this.#options.restored();
  }

  linkDown(): void {
    this.#isRestored = false;
    this.#channels.linkDown();
    this.#requests.linkDown();
    for (const subscription of this.#leaving.values()) this.#arrivals.delete(subscription);
    this.#leaving.clear();
    const { probe } = this.#wanted;
    if (probe !== null) probe.isSent = false;
    const error = this.#unavailable();
    for (const subscription of this.#wanted.all) {
      subscription.isSent = false;
      if (!subscription.isConfirmed || !subscription.isWanted) this.#requests.forget(subscription, error);
    }
  }

  close(): void {
    const error = unavailable('subscribe', SHUTTING_DOWN);
    this.#requests.close();
    for (const subscription of this.#wanted.all) this.#requests.forget(subscription, error);
  }

  /** Signals are kept through lost links from the start. */
  #keepSignals(): void {
    const signals = this.#wanted.create(null, this.#options.signalChannel);
    signals.isConfirmed = true;
    this.#wanted.add(signals);
  }

  #buildChannels(): Channels {
    const push = this.#arrivals.arrived;
    const { commandTimeoutMs: timeoutMs, isSharded, signalChannel } = this.#options;
    if (isSharded !== true) return new PlainChannels(this.#link, signalChannel, push);
    return new ShardedChannels(this.#link, { timeoutMs, push, lost: (channel) => this.#lost(channel) });
  }

  #unavailable(): BackplaneError {
    return unavailable('subscribe', this.#link.problem() ?? 'redis is not reachable');
  }
}
