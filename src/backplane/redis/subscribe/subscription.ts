import type { BackplaneError } from '../../backplane.ts';

/** One room that is wanted, or was until the end of this tick. */
export interface Subscription {
  readonly room: string;
  readonly channel: string;
  /** Of the room's newest envelope: likely that of the next one. */
  epoch: string;
  isWanted: boolean;
  /** SUBSCRIBE was sent on this link. */
  isSent: boolean;
  /** It was answered on this link, or on one before: the room is kept through a lost link. */
  isConfirmed: boolean;
  readonly confirmed: Promise<void>;
  resolve(): void;
  reject(error: BackplaneError): void;
}

/** As a channel arrives: one character a byte. */
export function bytesOf(channel: string): string {
  return Buffer.from(channel).toString('latin1');
}

export function newSubscription(room: string, channel: string): Subscription {
  const { promise, resolve, reject } = withResolvers();
  // Those who asked get it; when nobody asked again, it is not unhandled.
  promise.catch(ignoreRejection);
  return {
    room,
    channel,
    epoch: '',
    isWanted: true,
    isSent: false,
    isConfirmed: false,
    confirmed: promise,
    resolve,
    reject,
  };
}

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
