/**
 * SSUBSCRIBE, for a server of a Redis Cluster: a channel belongs to the slot of its tag, and one command takes
 * channels of one slot. Commands are written and replies read here: see `sharded-replies.ts`.
 */
import { systemScheduler } from '../../../util/scheduler.ts';
import { BackplaneError, unavailable } from '../../backplane.ts';
import type { Link } from '../link/link.ts';
import { type Channels, chunks } from './channels.ts';
import { divertPushes, type PushHandlers } from './push-reader.ts';
import { type ShardedCommand, ShardedReplies } from './sharded-replies.ts';
import type { Subscription } from './subscription.ts';

export interface ShardedChannelsOptions {
  readonly timeoutMs: number;
  push: PushHandlers['push'];
  /** Redis stopped sending this channel, since it lost the slot. */
  lost(channel: string): void;
}

export class ShardedChannels implements Channels {
  readonly #link: Link;
  readonly #timeoutMs: number;
  readonly #replies: ShardedReplies;

  constructor(link: Link, { timeoutMs, push, lost }: ShardedChannelsOptions) {
    this.#link = link;
    this.#timeoutMs = timeoutMs;
    this.#replies = new ShardedReplies({ lost, confused: (reason) => link.reconnect(reason) });
    // Until it is ready, ioredis sets up the connection.
    const takes = (replies: Buffer) => {
      if (link.redis.status !== 'ready') return false;
      this.#replies.read(replies);
      return true;
    };
    link.redis.on('connect', () => divertPushes(link.redis.stream, { kind: 'smessage', push, takes }));
  }

  groups(subscriptions: readonly Subscription[]): readonly (readonly Subscription[])[] {
    const bySlot = new Map<number, Subscription[]>();
    for (const subscription of subscriptions) {
      const group = bySlot.get(subscription.slot);
      if (group === undefined) bySlot.set(subscription.slot, [subscription]);
      else group.push(subscription);
    }
    return [...bySlot.values()].flatMap(chunks);
  }

  subscribe(group: readonly Subscription[]): Promise<void> {
    return this.#call('ssubscribe', group);
  }

  unsubscribe(group: readonly Subscription[]): Promise<void> {
    return this.#call('sunsubscribe', group);
  }

  heard(): Promise<void> {
    return this.#call('ping', []);
  }

  linkDown(): void {
    this.#replies.linkLost();
  }

  async #call(command: ShardedCommand, group: readonly Subscription[]): Promise<void> {
    const { stream } = this.#link.redis;
    if (!this.#link.isUp || !stream.writable) {
      throw unavailable('subscribe', this.#link.problem() ?? 'redis is not reachable');
    }
    const channels = group.map(({ arrivesAs }) => arrivesAs);
    const reply = this.#replies.expect(command, channels, group[0]?.slot ?? -1);
    stream.write(commandBytes(command, group));
    await this.#inTime(reply);
  }

  #inTime(reply: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = new BackplaneError('timeout', 'subscribe', 'redis did not answer in time');
      const timer = systemScheduler.after(this.#timeoutMs, () => reject(late));
      reply.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

function commandBytes(command: ShardedCommand, group: readonly Subscription[]): string {
  let text = `*${group.length + 1}\r\n$${command.length}\r\n${command}\r\n`;
  for (const { channel, arrivesAs } of group) text += `$${arrivesAs.length}\r\n${channel}\r\n`;
  return text;
}
