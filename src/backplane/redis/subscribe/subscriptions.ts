/**
 * The channels that this node subscribes to on one server. Requests of one turn go out as few commands; after a
 * lost link every room is subscribed again, by our own code, to know when that is complete.
 *
 * The last request for a room counts: commands on a link run in order, and a room is sent SUBSCRIBE and
 * UNSUBSCRIBE in the order of the requests, without those that cancel out within a turn.
 *
 * A server of a Redis Cluster may lose rooms to another one. Then it refuses to subscribe to them, and takes back
 * what is subscribed. Such rooms are asked for again and again, here until they are taken over by the
 * `Subscriptions` of the other server.
 */
import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { type BackplaneError, type Place, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import type { Keys } from '../keys/keys.ts';
import { slotOf } from '../keys/slots.ts';
import type { Link } from '../link/link.ts';
import { errorFromCall, isAnswer, isElsewhere } from '../link/redis-errors.ts';
import { Arrivals, type ArrivalsOptions } from './arrivals.ts';
import { Astray } from './astray.ts';
import { type Channels, PlainChannels } from './channels.ts';
import { ShardedChannels } from './sharded-channels.ts';
import { bytesOf, type Former, NO_FORMER, newSubscription, type Subscription } from './subscription.ts';

export interface SubscriptionsOptions extends ArrivalsOptions {
  /** Whether the server is part of a Redis Cluster. */
  readonly isSharded?: boolean;
  readonly commandTimeoutMs: number;
  /** The node's own channel, always subscribed. Null: it has none here, see `probeOn`. */
  readonly probeChannel: string | null;
  /** Whether the channel of all nodes is subscribed here from the start. Default true. */
  readonly hasSignals?: boolean;
  /** All rooms are subscribed again after the link came up, including the first time. */
  restored(): void;
  /** These (null: signals) were not heard for a while, and are now. */
  regained?(places: ReadonlySet<Place>): void;
  /** The server does not have the slot of something that is wanted here, or no longer. */
  misplaced?(): void;
}

export class Subscriptions implements Former {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #options: SubscriptionsOptions;
  readonly #channels: Channels;
  readonly #arrivals: Arrivals;
  /** By room; null: signals. */
  readonly #rooms = new Map<Place, Subscription>();
  #probe: Subscription | null = null;
  #changed: Subscription[] = [];
  readonly #endOfTurn = new EndOfTurn(systemScheduler, () => this.#flush());
  readonly #astray: Astray;
  /** Taken over by another server's, and still heard here: by the channel as it arrives. */
  readonly #leaving = new Map<string, Subscription>();
  /** Subscribed again after a while. Told when no more of them are under way. */
  #regained = new Set<Place>();
  #regaining = 0;
  #isRestored = false;
  /** Counts connections of the link: what belongs to an earlier one says nothing about this one. */
  #generation = 0;

  constructor(link: Link, keys: Keys, options: SubscriptionsOptions) {
    this.#link = link;
    this.#keys = keys;
    this.#options = options;
    this.#arrivals = new Arrivals(options);
    this.#channels = this.#buildChannels();
    this.#astray = new Astray({
      found: () => options.misplaced?.(),
      ask: (subscriptions) => this.#changeAll(subscriptions),
    });
    this.#setProbe(options.probeChannel);
    if (options.hasSignals ?? true) this.#keep(this.#new(null, options.signalChannel));
  }

  get isRestored(): boolean {
    return this.#isRestored;
  }

  /** Whether a probe can arrive: its channel is subscribed. */
  get hearsProbe(): boolean {
    return this.#isRestored && this.#probe?.isSent === true && this.#probe.isConfirmed;
  }

  /** Whether signals arrive. */
  get hearsSignals(): boolean {
    const signals = this.#rooms.get(null);
    return this.#isRestored && signals?.isSent === true && !signals.isMissing;
  }

  /**
   * Rejects with `unavailable` if the link is down or goes down before the reply; the room is then not
   * subscribed.
   */
  subscribe(room: string): Promise<void> {
    let subscription = this.#rooms.get(room);
    if (subscription?.isWanted === true) return subscription.confirmed;
    if (!this.#link.isUp) return Promise.reject(this.#unavailable());
    if (subscription === undefined) {
      subscription = this.#new(room, this.#keys.channel(room));
      this.#add(subscription);
    }
    subscription.isWanted = true;
    this.#change(subscription);
    return subscription.confirmed;
  }

  /**
   * SUBSCRIBE of a channel that Redis believes subscribed does nothing, so it is unsubscribed first, in the
   * same write.
   */
  async resubscribe(room: string): Promise<void> {
    const subscription = this.#rooms.get(room);
    if (subscription?.isSent !== true) return this.subscribe(room);
    const group = [subscription];
    try {
      await Promise.all([this.#channels.unsubscribe(group), this.#channels.subscribe(group)]);
    } catch (cause) {
      const error = errorFromCall(cause, 'subscribe');
      if (isElsewhere(error)) this.#strayed(subscription, false);
      throw error;
    }
  }

  /** Resolves when everything that Redis published before has arrived. */
  async heard(): Promise<void> {
    if (!this.#link.isUp) throw this.#unavailable();
    await this.#channels.heard();
  }

  unsubscribe(room: string): void {
    const subscription = this.#rooms.get(room);
    if (subscription === undefined) return;
    subscription.isWanted = false;
    this.#change(subscription);
  }

  /** Has the node hear itself on another channel: one that the server has. */
  probeOn(channel: string | null): void {
    const former = this.#probe;
    if ((former?.channel ?? null) === channel) return;
    this.#setProbe(channel);
    if (this.#probe !== null) this.#change(this.#probe);
    if (former?.isSent === true) this.#end([former]);
  }

  /**
   * Takes over what another server had, of those rooms (null: signals). There it is heard until it is subscribed
   * here; then `regained` tells, since messages may have been missed in between.
   */
  takeOver(from: Subscriptions, isMoved: (place: Place) => boolean): void {
    const moved = from.#handOver(isMoved);
    for (const subscription of moved) {
      this.#leaving.delete(subscription.arrivesAs);
      subscription.former = subscription.former.filter((former) => former !== this);
      subscription.isSent = false;
      subscription.isMissing = true;
      this.#add(subscription);
      if (!this.#link.isUp && !subscription.isConfirmed) this.#forget(subscription, this.#unavailable());
    }
    const subscribe = () => this.#changeAll(moved);
    if (!moved.some(({ former }) => former.includes(from))) return subscribe();
    // What it has sent is to come before what is published here.
    from.heard().then(subscribe, subscribe);
  }

  leave(subscription: Subscription): void {
    if (!this.#leaving.delete(subscription.arrivesAs)) return;
    this.#arrivals.delete(subscription);
    this.#end([subscription]);
  }

  /** Subscribes to everything again, on a new link. */
  async linkUp(): Promise<void> {
    const generation = ++this.#generation;
    const subscriptions = [...this.#rooms.values()].filter((subscription) => subscription.isWanted);
    if (this.#probe !== null) subscriptions.unshift(this.#probe);
    // `restored` has all of them checked.
    for (const subscription of subscriptions) subscription.isMissing = false;
    const groups = this.#channels.groups(subscriptions);
    const errors = await Promise.all(groups.map((group) => this.#subscribeGroup(group)));
    if (generation !== this.#generation || !this.#link.isUp) return;
    const error = errors.find((error) => error !== null);
    if (error !== undefined) return this.#link.reconnect(`subscribing failed: ${error?.message}`);
    this.#isRestored = true;
    this.#link.works();
    this.#options.restored();
  }

  linkDown(): void {
    this.#generation++;
    this.#isRestored = false;
    this.#channels.linkDown();
    this.#regained.clear();
    this.#astray.clear();
    for (const subscription of this.#leaving.values()) this.#arrivals.delete(subscription);
    this.#leaving.clear();
    if (this.#probe !== null) this.#probe.isSent = false;
    const error = this.#unavailable();
    for (const subscription of this.#rooms.values()) {
      subscription.isSent = false;
      if (!subscription.isConfirmed || !subscription.isWanted) this.#forget(subscription, error);
    }
  }

  close(): void {
    const error = unavailable('subscribe', SHUTTING_DOWN);
    this.#astray.clear();
    for (const subscription of this.#rooms.values()) this.#forget(subscription, error);
  }

  // ---- what is subscribed ----------------------------------------------------------------------------------

  #new(room: Place, channel: string): Subscription {
    const slot = this.#options.isSharded === true ? slotOf(channel) : 0;
    return newSubscription(room, channel, slot, systemScheduler.nowMs());
  }

  #add(subscription: Subscription): void {
    this.#rooms.set(subscription.room, subscription);
    this.#arrivals.add(subscription);
  }

  /** Adds what is kept through lost links from the start. */
  #keep(subscription: Subscription): void {
    subscription.isConfirmed = true;
    this.#add(subscription);
  }

  #setProbe(channel: string | null): void {
    this.#probe = channel === null ? null : this.#new(null, channel);
    this.#arrivals.probeChannel = this.#probe?.arrivesAs ?? '';
  }

  #has(subscription: Subscription): boolean {
    return subscription === this.#probe || this.#rooms.get(subscription.room) === subscription;
  }

  #forget(subscription: Subscription, error: BackplaneError): void {
    this.#rooms.delete(subscription.room);
    this.#arrivals.delete(subscription);
    this.#astray.delete(subscription);
    leaveFormer(subscription);
    // Does nothing for subscriptions answered before.
    subscription.reject(error);
  }

  /** Those that move, which are no longer this server's. */
  #handOver(isMoved: (place: Place) => boolean): Subscription[] {
    const moved = [...this.#rooms.values()].filter(({ room }) => isMoved(room));
    for (const subscription of moved) {
      this.#rooms.delete(subscription.room);
      this.#astray.delete(subscription);
      if (subscription.isSent && this.#link.isUp) {
        this.#leaving.set(subscription.arrivesAs, subscription);
        subscription.former = [...subscription.former, this];
      } else this.#arrivals.delete(subscription);
    }
    return moved;
  }

  // ---- commands --------------------------------------------------------------------------------------------

  #changeAll(subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) this.#change(subscription);
  }

  #change(subscription: Subscription): void {
    this.#changed.push(subscription);
    // Not a microtask: joins of one turn come from many sockets, with microtasks run between them.
    this.#endOfTurn.request();
  }

  #flush(): void {
    const added: Subscription[] = [];
    const removed: Subscription[] = [];
    for (const subscription of new Set(this.#changed)) {
      if (!this.#has(subscription)) continue;
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
    for (const subscription of removed) this.#forget(subscription, error);
    this.#end(sent);
  }

  /** Has Redis send them no longer. */
  #end(subscriptions: readonly Subscription[]): void {
    if (!this.#link.isUp) return;
    for (const group of this.#channels.groups(subscriptions)) {
      this.#channels.unsubscribe(group).catch((error: BackplaneError) => {
        if (!isElsewhere(error)) this.#link.reconnect('no reply to UNSUBSCRIBE');
      });
    }
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
    const isKept = (subscription: Subscription) => subscription === this.#probe || subscription.isConfirmed;
    if (group.some(isKept)) return this.#link.reconnect(`subscribing failed: ${message}`);
    const error = unavailable('subscribe', message);
    for (const subscription of group) if (this.#has(subscription)) this.#forget(subscription, error);
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
      if (!isElsewhere(error)) return error;
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
      if (!this.#has(subscription) || !subscription.isSent) continue;
      subscription.isConfirmed = true;
      subscription.resolve();
      leaveFormer(subscription);
      if (!subscription.isMissing) continue;
      subscription.isMissing = false;
      if (subscription !== this.#probe) this.#regained.add(subscription.room);
    }
  }

  #tellRegained(): void {
    if (this.#regaining > 0 || this.#regained.size === 0) return;
    const regained = this.#regained;
    this.#regained = new Set();
    this.#options.regained?.(regained);
  }

  // ---- what the server does not have -----------------------------------------------------------------------

  /** A channel is sent no longer, and nobody asked for that. */
  #lost(channel: string): void {
    const leaving = this.#leaving.get(channel);
    if (leaving !== undefined) {
      this.#leaving.delete(channel);
      this.#arrivals.delete(leaving);
      return;
    }
    const subscription = this.#byChannel(channel);
    if (subscription?.isSent === true) this.#strayed(subscription, false);
  }

  #byChannel(channel: string): Subscription | undefined {
    const subscription = this.#arrivals.of(channel);
    if (subscription !== undefined) return subscription;
    if (this.#probe?.arrivesAs === channel) return this.#probe;
    return channel === bytesOf(this.#options.signalChannel) ? this.#rooms.get(null) : undefined;
  }

  #refusedElsewhere(group: readonly Subscription[], error: BackplaneError): void {
    const earliest = systemScheduler.nowMs() - this.#options.commandTimeoutMs;
    for (const subscription of group) {
      if (!this.#has(subscription)) continue;
      if (subscription.isConfirmed || subscription.askedAtMs > earliest) this.#strayed(subscription, true);
      else this.#forget(subscription, unavailable('subscribe', error.message));
    }
  }

  #strayed(subscription: Subscription, isAgain: boolean): void {
    subscription.isSent = false;
    subscription.isMissing = true;
    this.#astray.add(subscription, isAgain);
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

function leaveFormer(subscription: Subscription): void {
  const { former } = subscription;
  if (former.length === 0) return;
  subscription.former = NO_FORMER;
  for (const one of former) one.leave(subscription);
}
