/**
 * The channels that this node subscribes to. Requests of one turn go out as few commands; after a lost link
 * every room is subscribed again, by our own code, to know when that is complete.
 *
 * The last request for a room counts: commands on a link run in order, and a room is sent SUBSCRIBE and
 * UNSUBSCRIBE in the order of the requests, without those that cancel out within a turn.
 */
import { EndOfTurn } from '../../../util/end-of-turn.ts';
import { systemScheduler } from '../../../util/scheduler.ts';
import { type BackplaneError, SHUTTING_DOWN, unavailable } from '../../backplane.ts';
import { Envelope } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { PresenceChange } from '../../presence.ts';
import { PRESENCE_EVENT, parsePresenceEvent } from '../../presence-event.ts';
import type { Keys } from '../keys/keys.ts';
import type { Link } from '../link/link.ts';
import { errorFromCall, isAnswer } from '../link/redis-errors.ts';
import { divertPushes } from './push-reader.ts';
import { bytesOf, newSubscription, type Subscription } from './subscription.ts';

export interface SubscriptionsOptions {
  readonly metrics: BackplaneMetrics;
  /** The node's own channel, always subscribed. */
  readonly probeChannel: string;
  /** The channel of all nodes, always subscribed. */
  readonly signalChannel: string;
  envelope(room: string, envelope: Envelope): void;
  presence(room: string, changes: readonly PresenceChange[]): void;
  probe(bytes: Buffer): void;
  signal(bytes: Buffer): void;
  /** All rooms are subscribed again after the link came up, including the first time. */
  restored(): void;
}

/** Channels in one command: large enough to be cheap, small enough not to hold up Redis's other work. */
const CHUNK = 500;

export class Subscriptions {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #options: SubscriptionsOptions;
  readonly #rooms = new Map<string, Subscription>();
  /** The same, by the channel's bytes. */
  readonly #channels = new Map<string, Subscription>();
  readonly #probeChannel: string;
  readonly #signalChannel: string;
  #changed: Subscription[] = [];
  readonly #endOfTurn = new EndOfTurn(systemScheduler, () => this.#flush());
  #isRestored = false;
  /** Counts connections of the link: what belongs to an earlier one says nothing about this one. */
  #generation = 0;

  constructor(link: Link, keys: Keys, options: SubscriptionsOptions) {
    this.#link = link;
    this.#keys = keys;
    this.#options = options;
    this.#probeChannel = bytesOf(options.probeChannel);
    this.#signalChannel = bytesOf(options.signalChannel);
    const arrived = (channel: string, bytes: Buffer) => this.#arrived(channel, bytes);
    link.redis.on('connect', () => divertPushes(link.redis.stream, arrived));
  }

  get isRestored(): boolean {
    return this.#isRestored;
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
      subscription = newSubscription(room, this.#keys.channel(room));
      this.#rooms.set(room, subscription);
      this.#channels.set(bytesOf(subscription.channel), subscription);
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
    const { channel } = subscription;
    try {
      await Promise.all([this.#link.redis.unsubscribe(channel), this.#link.redis.subscribe(channel)]);
    } catch (cause) {
      throw errorFromCall(cause, 'subscribe');
    }
  }

  /**
   * Resolves when everything that Redis published before has arrived. The link carries replies and messages in
   * order, and SUBSCRIBE of a channel that is subscribed changes nothing.
   */
  async heard(): Promise<void> {
    if (!this.#link.isUp) throw this.#unavailable();
    try {
      await this.#link.redis.subscribe(this.#options.probeChannel);
    } catch (cause) {
      throw errorFromCall(cause, 'subscribe');
    }
  }

  unsubscribe(room: string): void {
    const subscription = this.#rooms.get(room);
    if (subscription === undefined) return;
    subscription.isWanted = false;
    this.#change(subscription);
  }

  /** Subscribes to everything again, on a new link. */
  async linkUp(): Promise<void> {
    const generation = ++this.#generation;
    const subscriptions = [...this.#rooms.values()].filter((subscription) => subscription.isWanted);
    const { probeChannel, signalChannel } = this.#options;
    const sending = [
      this.#link.redis.subscribe(probeChannel, signalChannel).then(
        () => null,
        (cause: unknown) => errorFromCall(cause, 'subscribe'),
      ),
    ];
    for (const chunk of chunks(subscriptions)) sending.push(this.#subscribeChunk(chunk));
    const errors = await Promise.all(sending);
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
    const error = this.#unavailable();
    for (const subscription of this.#rooms.values()) {
      subscription.isSent = false;
      if (!subscription.isConfirmed || !subscription.isWanted) this.#forget(subscription, error);
    }
  }

  close(): void {
    const error = unavailable('subscribe', SHUTTING_DOWN);
    for (const subscription of this.#rooms.values()) this.#forget(subscription, error);
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
      if (this.#rooms.get(subscription.room) !== subscription) continue;
      if (!subscription.isWanted) removed.push(subscription);
      else if (!subscription.isSent) added.push(subscription);
    }
    this.#changed = [];
    this.#unsubscribeAll(removed);
    if (!this.#link.isUp) return;
    for (const chunk of chunks(added)) this.#startChunk(chunk);
  }

  #unsubscribeAll(removed: readonly Subscription[]): void {
    const error = unavailable('subscribe', 'the room was unsubscribed before the reply');
    const sent = removed.filter((subscription) => subscription.isSent);
    for (const subscription of removed) this.#forget(subscription, error);
    if (!this.#link.isUp) return;
    for (const chunk of chunks(sent)) {
      const failed = () => this.#link.reconnect('no reply to UNSUBSCRIBE');
      this.#link.redis.unsubscribe(...chunk.map(({ channel }) => channel)).catch(failed);
    }
  }

  #startChunk(chunk: readonly Subscription[]): void {
    const generation = this.#generation;
    void this.#subscribeChunk(chunk).then((error) => {
      if (error === null || generation !== this.#generation) return;
      if (isAnswer(error)) return this.#refused(chunk, error);
      // A link that does not answer may still carry it out later: only a new link has exactly the requested
      // subscriptions.
      this.#link.reconnect(`subscribing failed: ${error.message}`);
    });
  }

  /** Redis replied that it refuses: no reason to take the other rooms off the link. */
  #refused(chunk: readonly Subscription[], { message }: BackplaneError): void {
    const error = unavailable('subscribe', message);
    for (const subscription of chunk) {
      if (this.#rooms.get(subscription.room) === subscription) this.#forget(subscription, error);
    }
  }

  /** Resolves with what went wrong, or null. Never rejects. */
  async #subscribeChunk(chunk: readonly Subscription[]): Promise<BackplaneError | null> {
    const generation = this.#generation;
    for (const subscription of chunk) subscription.isSent = true;
    try {
      await this.#link.redis.subscribe(...chunk.map(({ channel }) => channel));
    } catch (cause) {
      return errorFromCall(cause, 'subscribe');
    }
    if (generation !== this.#generation) return null;
    for (const subscription of chunk) {
      subscription.isConfirmed = true;
      subscription.resolve();
    }
    return null;
  }

  #forget(subscription: Subscription, error: BackplaneError): void {
    this.#rooms.delete(subscription.room);
    this.#channels.delete(bytesOf(subscription.channel));
    // Does nothing for subscriptions answered before.
    subscription.reject(error);
  }

  #arrived(channel: string, bytes: Buffer): void {
    const subscription = this.#channels.get(channel);
    if (subscription === undefined) {
      if (channel === this.#probeChannel) this.#options.probe(bytes);
      else if (channel === this.#signalChannel) this.#options.signal(bytes);
      return;
    }
    if (!subscription.isWanted) return;
    if (bytes[0] === PRESENCE_EVENT) return this.#presenceArrived(subscription.room, bytes);
    const envelope = Envelope.parse(bytes, subscription.epoch);
    if (envelope === null) return this.#options.metrics.malformedEnvelope();
    subscription.epoch = envelope.epoch;
    this.#options.envelope(subscription.room, envelope);
  }

  #presenceArrived(room: string, bytes: Buffer): void {
    const changes = parsePresenceEvent(bytes);
    if (changes === null) this.#options.metrics.malformedEnvelope();
    else this.#options.presence(room, changes);
  }

  #unavailable(): BackplaneError {
    return unavailable('subscribe', this.#link.problem() ?? 'redis is not reachable');
  }
}

function* chunks(subscriptions: readonly Subscription[]): Generator<readonly Subscription[]> {
  for (let at = 0; at < subscriptions.length; at += CHUNK) yield subscriptions.slice(at, at + CHUNK);
}
