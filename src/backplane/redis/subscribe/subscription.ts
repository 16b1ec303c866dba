import type { BackplaneError, Place } from '../../backplane.ts';

/** What still hears a channel, until it is subscribed elsewhere. */
export interface Former {
  /** Rejects where the rest of it does not arrive. */
  heard(): Promise<void>;
  leave(subscription: Subscription): void;
}

/** One room that is wanted, or was until the end of this tick; with null, what is no room's. */
export interface Subscription {
  readonly room: Place;
  readonly channel: string;
  /** The channel in messages: one character a byte. */
  readonly arrivesAs: string;
  /** Of a sharded channel. */
  readonly slot: number;
  readonly askedAtMs: number;
  /** Of the room's newest envelope: likely that of the next one. */
  epoch: string;
  isWanted: boolean;
  /** The command was sent on this link, and Redis has not taken it back since. */
  isSent: boolean;
  /** It was answered on this link, or on one before: the room is kept through a lost link. */
  isConfirmed: boolean;
  /** Messages may have been missed, which are to be looked for when it is subscribed. */
  isMissing: boolean;
  /** Servers that had the room before. */
  former: readonly Former[];
  readonly confirmed: Promise<void>;
  resolve(): void;
  reject(error: BackplaneError): void;
}

/** As a channel arrives: one character a byte. */
export function bytesOf(channel: string): string {
  return Buffer.from(channel).toString('latin1');
}

export function newSubscription(room: Place, channel: string, slot: number, askedAtMs: number): Subscription {
  const { promise, resolve, reject } = withResolvers();
  // Those who asked get it; when nobody asked again, it is not unhandled.
  promise.catch(ignoreRejection);
  return {
    room,
    channel,
    arrivesAs: bytesOf(channel),
    slot,
    askedAtMs,
    epoch: '',
    isWanted: true,
    isSent: false,
    isConfirmed: false,
    isMissing: false,
    former: NO_FORMER,
    confirmed: promise,
    resolve,
    reject,
  };
}

export const NO_FORMER: readonly Former[] = [];

function ignoreRejection(): void {
  // Whoever called `subscribe` has the same promise and hears of it.
}

/** `Promise.withResolvers` came with Node 22. */
function withResolvers() {
  let resolve!: () => void;
  let reject!: (error: BackplaneError) => void;
  const promise = new Promise<void>((whenDone, whenFailed) => {
    resolve = whenDone;
    reject = whenFailed;
  });
  return { promise, resolve, reject };
}
