import type { HubConnection } from '../../hub/hub.ts';
import type { ReaderEncoding } from '../../protocol/subprotocol.ts';
import type { Feed } from '../rooms/feed.ts';

/** One message that was handed to a topic. */
export interface SentEntry {
  readonly feed: Feed;
  readonly message: Uint8Array | string;
  readonly encoding: ReaderEncoding;
  /** The position of the room's topics before it. */
  readonly afterEpoch: string;
  readonly afterOffset: number;
  /** The same in a room without history: see `NewestPerKey`. */
  readonly afterMark: number;
  /** Local connection that was left out, or 0. */
  readonly exclude: number;
  /** It went to the topic of what members are told of each other. */
  readonly isOfMembers: boolean;
}

/**
 * What was handed to topics since the turn began, in order. uWebSockets.js reports a message that it dropped
 * for a socket by its bytes, and drops everything after it in the same drain: this log tells which message it
 * was, and so what the socket is missing.
 */
export class SentLog {
  #entries: SentEntry[] = [];

  /** Everything logged before has been drained. */
  clear(): void {
    if (this.#entries.length > 0) this.#entries = [];
  }

  /** A message that is about to be handed to a topic of the feed's room. */
  add(
    feed: Feed,
    message: Uint8Array | string,
    encoding: ReaderEncoding,
    exclude: number,
    isOfMembers: boolean,
  ): void {
    this.#entries.push({
      feed,
      message,
      encoding,
      afterEpoch: feed.sentEpoch,
      afterOffset: feed.sentOffset,
      afterMark: feed.sentMark,
      exclude,
      isOfMembers,
    });
  }

  /** Index of the message that was added last, or -1. */
  get lastIndex(): number {
    return this.#entries.length - 1;
  }

  /** Index of the message with these bytes, or -1. */
  find(bytes: Uint8Array): number {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#entries.findIndex(({ message }) =>
      typeof message === 'string' ? buffer.equals(Buffer.from(message)) : buffer.equals(message),
    );
  }

  /**
   * The first entry of a feed at or after `from` that was for this member, in the encoding that it reads.
   */
  firstFor(feed: Feed, from: number, member: HubConnection): SentEntry | undefined {
    const isUnaware = feed.unaware?.has(member) === true;
    for (let i = from; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      if (entry.feed !== feed || entry.exclude === member.number) continue;
      if (entry.encoding === member.encoding && !(isUnaware && entry.isOfMembers)) return entry;
    }
    return undefined;
  }
}
