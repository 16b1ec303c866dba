/** How a link subscribes: in one of the two kinds of pub/sub. */
import type { Link } from '../link/link.ts';
import { errorFromCall } from '../link/redis-errors.ts';
import { divertPushes, type PushHandlers } from './push-reader.ts';
import type { Subscription } from './subscription.ts';

/** Promises reject with a `BackplaneError`: see `isAnswer`. */
export interface Channels {
  /** Puts together what one command can carry. */
  groups(subscriptions: readonly Subscription[]): readonly (readonly Subscription[])[];
  subscribe(group: readonly Subscription[]): Promise<void>;
  unsubscribe(group: readonly Subscription[]): Promise<void>;
  /** Resolves when everything that Redis published before has arrived: the link carries replies and messages in order. */
  heard(): Promise<void>;
  linkDown(): void;
}

/** Channels in one command: large enough to be cheap, small enough not to hold up Redis's other work. */
const CHUNK = 500;

export function chunks<T>(items: readonly T[]): (readonly T[])[] {
  const list: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += CHUNK) list.push(items.slice(at, at + CHUNK));
  return list;
}

/** SUBSCRIBE, for a single Redis. */
export class PlainChannels implements Channels {
  readonly #link: Link;
  readonly #always: string;

  /** `always`: a channel that is always subscribed. */
  constructor(link: Link, always: string, push: PushHandlers['push']) {
    this.#link = link;
    this.#always = always;
    link.redis.on('connect', () => divertPushes(link.redis.stream, { kind: 'message', push }));
  }

  groups(subscriptions: readonly Subscription[]): readonly (readonly Subscription[])[] {
    return chunks(subscriptions);
  }

  async subscribe(group: readonly Subscription[]): Promise<void> {
    await answered(this.#link.redis.subscribe(...group.map(nameOf)));
  }

  async unsubscribe(group: readonly Subscription[]): Promise<void> {
    await answered(this.#link.redis.unsubscribe(...group.map(nameOf)));
  }

  /** SUBSCRIBE of a channel that is subscribed changes nothing. */
  async heard(): Promise<void> {
    await answered(this.#link.redis.subscribe(this.#always));
  }

  linkDown(): void {
    // ioredis rejects what waits.
  }
}

async function answered(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (cause) {
    throw errorFromCall(cause, 'subscribe');
  }
}

function nameOf({ channel }: Subscription): string {
  return channel;
}
