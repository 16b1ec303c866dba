import type { ReaderEncoding } from '../protocol/subprotocol.ts';

/**
 * A room on this node: how many of its connections are members, and their native topics. uWebSockets.js knows
 * which sockets those are; a second list here would cost memory for each membership.
 */
export class Room {
  readonly name: string;
  /** Topic of the members that read MessagePack. */
  readonly binaryTopic: string;
  /** Topic of the members that read JSON. */
  readonly textTopic: string;
  binaryMembers = 0;
  textMembers = 0;
  /** Readers of event streams. */
  eventMembers = 0;

  constructor(name: string) {
    this.name = name;
    this.binaryTopic = `b${name}`;
    this.textTopic = `t${name}`;
  }

  get members(): number {
    return this.binaryMembers + this.textMembers + this.eventMembers;
  }

  /** A member came, or left. */
  counted(encoding: ReaderEncoding, by: 1 | -1): void {
    if (encoding === 'msgpack') this.binaryMembers += by;
    else if (encoding === 'json') this.textMembers += by;
    else this.eventMembers += by;
  }

  topic(encoding: ReaderEncoding): string {
    if (encoding === 'msgpack') return this.binaryTopic;
    // Made on demand: few rooms have such readers.
    return encoding === 'json' ? this.textTopic : `e${this.name}`;
  }
  /** Topic of the members that are told of each other, beside their other one. Few rooms have one, and most sockets none. */
  memberTopic(encoding: ReaderEncoding): string {
    return `m${this.topic(encoding)}`;
  }
}
