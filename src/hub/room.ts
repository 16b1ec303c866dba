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

  constructor(name: string) {
    this.name = name;
    this.binaryTopic = `b${name}`;
    this.textTopic = `t${name}`;
  }

  get members(): number {
    return this.binaryMembers + this.textMembers;
  }

  topic(readsText: boolean): string {
    return readsText ? this.textTopic : this.binaryTopic;
  }
}
