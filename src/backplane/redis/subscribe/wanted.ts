/** What this node wants to hear of one server: rooms, signals, and its own channel. */
import { systemScheduler } from '../../../util/scheduler.ts';
import type { Place } from '../../backplane.ts';
import { slotOf } from '../keys/slots.ts';
import type { Arrivals } from './arrivals.ts';
import { bytesOf, newSubscription, type Subscription } from './subscription.ts';

export interface WantedOptions {
  /** Whether the server is part of a Redis Cluster. */
  readonly isSharded?: boolean;
  /** The channel of all nodes. */
  readonly signalChannel: string;
}

export class Wanted {
  readonly #options: WantedOptions;
  readonly #arrivals: Arrivals;
  /** By room; null: signals. */
  readonly #rooms = new Map<Place, Subscription>();
  #probe: Subscription | null = null;

  constructor(arrivals: Arrivals, options: WantedOptions) {
    this.#arrivals = arrivals;
    this.#options = options;
  }

  /** The channel on which the node hears itself. */
  get probe(): Subscription | null {
    return this.#probe;
  }

  /** All but that one. */
  get all(): readonly Subscription[] {
    return [...this.#rooms.values()];
  }

  of(place: Place): Subscription | undefined {
    return this.#rooms.get(place);
  }

  /** By the channel as it arrives. */
  byChannel(channel: string): Subscription | null {
    const subscription = this.#arrivals.of(channel);
    if (subscription !== undefined) return subscription;
    if (this.#probe?.arrivesAs === channel) return this.#probe;
    return channel === bytesOf(this.#options.signalChannel) ? (this.#rooms.get(null) ?? null) : null;
  }

  has(subscription: Subscription): boolean {
    return subscription === this.#probe || this.#rooms.get(subscription.room) === subscription;
  }

  create(room: Place, channel: string): Subscription {
    const slot = this.#options.isSharded === true ? slotOf(channel) : 0;
    return newSubscription(room, channel, slot, systemScheduler.nowMs());
  }

  add(subscription: Subscription): void {
    this.#rooms.set(subscription.room, subscription);
    this.#arrivals.add(subscription);
  }

  delete(subscription: Subscription): void {
    this.#rooms.delete(subscription.room);
    this.#arrivals.delete(subscription);
  }

  /** As `delete`, but what still arrives is taken. */
  release(subscription: Subscription): void {
    this.#rooms.delete(subscription.room);
  }

  setProbe(channel: string | null): void {
    this.#probe = channel === null ? null : this.create(null, channel);
    this.#arrivals.probeChannel = this.#probe?.arrivesAs ?? '';
  }
}
