/** What arrives on a subscribe link: whose it is, and what it says. */
import { systemScheduler } from '../../../util/scheduler.ts';
import { Envelope } from '../../envelope.ts';
import type { BackplaneMetrics } from '../../metrics.ts';
import type { PresenceChange } from '../../presence.ts';
import { PRESENCE_EVENT, parsePresenceEvent } from '../../presence-event.ts';
import { bytesOf, type Subscription } from './subscription.ts';

/** Servers end links between each other that are stuck for longer. A former master may be a replica, and pass on what is new, later on. */
const COPIES_MS = 60_000;

export interface ArrivalsOptions {
  readonly metrics: BackplaneMetrics;
  /** The channel of all nodes. */
  readonly signalChannel: string;
  /** Of a server of a cluster: its number, see `Envelope.publishedOn`. Default 0. */
  readonly serverNumber?: number;
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
  readonly #serverNumber: number;
  /** Servers that had rooms before which are here now, by number, and until when copies of theirs may come. */
  readonly #predecessors = new Map<number, number>();
  /** The channel on which this node hears itself. */
  probeChannel = '';

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#signalChannel = bytesOf(options.signalChannel);
    this.#serverNumber = options.serverNumber ?? 0;
  }

  /** What was published on that server was heard there. */
  tookOverFrom({ serverNumber }: Pick<ArrivalsOptions, 'serverNumber'>): void {
    if (serverNumber !== undefined) this.#predecessors.set(serverNumber, systemScheduler.nowMs() + COPIES_MS);
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
    if (envelope.first === 0 && this.#isCopy(envelope, subscription)) return;
    subscription.epoch = envelope.epoch;
    this.#options.envelope(room, envelope);
  };

  /**
   * Whether the node has it, or may have it, from where it was published. The servers of a shard pass on what is published to each of
   * them, and a replica that takes over gets the last of it late: after newer signals, perhaps. Offsets would show that.
   */
  #isCopy({ publishedOn }: Envelope, { former, isSent }: Subscription): boolean {
    if (publishedOn === 0 || publishedOn === this.#serverNumber) return false;
    const isBeingSubscribedThere = former.length > 0 && isSent;
    return isBeingSubscribedThere || systemScheduler.nowMs() < (this.#predecessors.get(publishedOn) ?? 0);
  }

  #presenceArrived(room: string, bytes: Buffer): void {
    const changes = parsePresenceEvent(bytes);
    if (changes === null) this.#options.metrics.malformedEnvelope();
    else this.#options.presence(room, changes);
  }
}
