/**
 * What Redis replies on a link that subscribes to sharded channels, matched with what it was asked.
 *
 * ioredis cannot do this: when Redis loses a slot it sends `sunsubscribe` for each channel in it, unasked, and
 * ioredis says only that something moved, or takes one for the reply to another command. So on such a link the
 * commands and replies are ours, from the moment that ioredis has made the connection.
 */
import { startsWith } from '../../../util/bytes.ts';
import { BackplaneError } from '../../backplane.ts';
import { errorFromReply } from '../link/redis-errors.ts';

export type ShardedCommand = 'ssubscribe' | 'sunsubscribe' | 'ping';

export interface ShardedRepliesHandlers {
  /** Redis no longer sends this channel, which nobody asked for. Its slot was taken from the server. */
  lost(channel: string): void;
  /** A reply that fits nothing that was asked: the link is of no use. */
  confused(reason: string): void;
}

/** A command whose reply is due. */
interface Asked {
  readonly command: ShardedCommand;
  /** As they arrive, one character a byte. Empty for PING. */
  readonly channels: readonly string[];
  /** Of all of them. */
  readonly slot: number;
  /** How many of them were answered. */
  answered: number;
  resolve(): void;
  reject(error: BackplaneError): void;
}

const SUBSCRIBED = Buffer.from('*3\r\n$10\r\nssubscribe\r\n$');
const UNSUBSCRIBED = Buffer.from('*3\r\n$12\r\nsunsubscribe\r\n$');
/** On a link with subscriptions, and on one without. */
const PONGS = ['*2\r\n$4\r\npong\r\n$0\r\n\r\n', '+PONG\r\n'].map((text) => Buffer.from(text));
const MOVED = /^MOVED (\d+) /;
const STAGE = 'subscribe';
const CR = 13;
const MINUS = 45;

export class ShardedReplies {
  readonly #handlers: ShardedRepliesHandlers;
  #asked: Asked[] = [];

  constructor(handlers: ShardedRepliesHandlers) {
    this.#handlers = handlers;
  }

  /** In the order of the commands. Rejects with `BackplaneError`; its reply stays due after a timeout. */
  expect(command: ShardedCommand, channels: readonly string[], slot: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ command, channels, slot, answered: 0, resolve, reject });
    });
  }

  /** The link is gone, and with it whatever was asked on it. */
  linkLost(): void {
    const asked = this.#asked;
    this.#asked = [];
    const error = new BackplaneError('timeout', STAGE, 'the redis subscribe link was lost before the reply');
    for (const { reject } of asked) reject(error);
  }

  /** Whole replies. */
  read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) at = this.#reply(bytes, at);
  }

  /** Returns where the next one starts. */
  #reply(bytes: Buffer, at: number): number {
    if (startsWith(bytes, at, SUBSCRIBED)) {
      this.#subscribed();
      return afterConfirmation(bytes, at + SUBSCRIBED.length);
    }
    if (startsWith(bytes, at, UNSUBSCRIBED)) {
      const start = at + UNSUBSCRIBED.length;
      this.#unsubscribed(channelAt(bytes, start));
      return afterConfirmation(bytes, start);
    }
    if (bytes[at] === MINUS) {
      const end = bytes.indexOf('\r\n', at, 'latin1');
      this.#refused(bytes.toString('utf8', at + 1, end));
      return end + 2;
    }
    for (const pong of PONGS) {
      if (!startsWith(bytes, at, pong)) continue;
      this.#ponged();
      return at + pong.length;
    }
    this.#confused(bytes.toString('latin1', at, at + 40));
    return bytes.length;
  }

  #subscribed(): void {
    const first = this.#asked[0];
    if (first?.command !== 'ssubscribe') return this.#confused('ssubscribe');
    if (++first.answered === first.channels.length) this.#settle().resolve();
  }

  /**
   * When a slot is lost while an SUNSUBSCRIBE is on its way, this may take for its reply what Redis sent unasked;
   * then an error follows, see `#refused`.
   */
  #unsubscribed(channel: string): void {
    const first = this.#asked[0];
    const isReply = first?.command === 'sunsubscribe' && first.channels[first.answered] === channel;
    if (!isReply) return this.#handlers.lost(channel);
    if (++first.answered === first.channels.length) this.#settle().resolve();
  }

  #ponged(): void {
    if (this.#asked[0]?.command !== 'ping') return this.#confused('PONG');
    this.#settle().resolve();
  }

  #refused(message: string): void {
    const first = this.#asked[0];
    const movedSlot = MOVED.exec(message)?.[1];
    // To an SUNSUBSCRIBE that seemed answered.
    if (movedSlot !== undefined && Number(movedSlot) !== first?.slot) return;
    if (first === undefined) return this.#confused(message);
    this.#settle();
    // What was to end has ended.
    if (first.command === 'sunsubscribe' && movedSlot !== undefined) first.resolve();
    else first.reject(errorFromReply(message, STAGE));
  }

  #settle(): Asked {
    return this.#asked.shift()!;
  }

  #confused(what: string): void {
    this.#handlers.confused(`unexpected reply on the subscribe link: ${JSON.stringify(what)}`);
  }
}

/** The bulk string whose length is written at `at`. */
function channelAt(bytes: Buffer, at: number): string {
  const start = lineEnd(bytes, at) + 2;
  return bytes.toString('latin1', start, start + lengthAt(bytes, at));
}

/** Where the reply ends that has the length of its channel at `at`: a number follows the channel. */
function afterConfirmation(bytes: Buffer, at: number): number {
  const numberAt = lineEnd(bytes, at) + 2 + lengthAt(bytes, at) + 2;
  return lineEnd(bytes, numberAt) + 2;
}

function lengthAt(bytes: Buffer, at: number): number {
  let length = 0;
  for (let i = at; bytes[i] !== CR; i++) length = length * 10 + bytes[i]! - 48;
  return length;
}

function lineEnd(bytes: Buffer, at: number): number {
  let end = at;
  while (bytes[end] !== CR) end++;
  return end;
}
