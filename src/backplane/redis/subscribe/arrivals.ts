/** What arrives on a subscribe link: whose it is, and what it says. */
import { Envelope } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { PresenceChange } from '../../presence.ts';
import { PRESENCE_EVENT, parsePresenceEvent } from '../../presence-event.ts';
import { bytesOf, type Subscription } from './subscription.ts';

export interface ArrivalsOptions {
  readonly metrics: BackplaneMetrics;
  /** The channel of all nodes. */
  readonly signalChannel: string;
  envelope(room: string, envelope: Envelope): void;
  presence(room: string, changes: readonly PresenceChange[]): void;
  probe(bytes: Buffer): void;
  signal(bytes: Buffer): void;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  /** By the channel as it arrives. */
  readonly #rooms = new Map<string, Subscription>();
  readonly #signalChannel: string;
  /** The channel on which this node hears itself. */
  probeChannel = '';

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#signalChannel = bytesOf(options.signalChannel);
  }

  add(subscription: Subscription): void {
    if (subscription.room !== null) this.#rooms.set(subscription.arrivesAs, subscription);
  }

  delete({ room, arrivesAs }: Subscription): void {
    if (room !== null) this.#rooms.delete(arrivesAs);
  }

  of(channel: string): Subscription | undefined {
    return this.#rooms.get(channel);
  }

  readonly arrived = (channel: string, bytes: Buffer): void => {
    const subscription = this.#rooms.get(channel);
    if (subscription === undefined) {
      if (channel === this.probeChannel) this.#options.probe(bytes);
      else if (channel === this.#signalChannel) this.#options.signal(bytes);
      return;
    }
    if (!subscription.isWanted) return;
    const room = subscription.room as string;
    if (bytes[0] === PRESENCE_EVENT) return this.#presenceArrived(room, bytes);
    const envelope = Envelope.parse(bytes, subscription.epoch);
    if (envelope === null) return this.#options.metrics.malformedEnvelope();
    subscription.epoch = envelope.epoch;
    this.#options.envelope(room, envelope);
  };

  #presenceArrived(room: string, bytes: Buffer): void {
    const changes = parsePresenceEvent(bytes);
    if (changes === null) this.#options.metrics.malformedEnvelope();
    else this.#options.presence(room, changes);
  }
}
