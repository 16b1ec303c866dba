import { type JoinAsks, PLAIN_JOIN } from '../../auth/authorize.ts';
import type { Acked, Start } from '../../backplane/acks.ts';
import type { BackplaneError } from '../../backplane/backplane.ts';
import type { Connection } from '../../connection/connection.ts';
import type {
  JoinResult,
  MembersSnapshot,
  PackedValue,
  Position,
  PublishCommand,
} from '../../protocol/frames.ts';
import { Cursor, type CursorOwner, type JoinFailure } from '../catch-up/cursor.ts';
import type { Feed, FeedWaiter } from '../rooms/feed.ts';

/**
 * Where a member asks to begin: after a position, at its user's start, or (null) at the room's current
 * position.
 */
export type JoinFrom = Position | 'acked' | null;

/** The requester of the join. One of these is called, once. */
export interface JoinReply {
  joined(result: JoinResult): void;
  failed(failure: JoinFailure): void;
  /** The connection left the room, or joined it again, before this join was answered. */
  abandoned(): void;
}

/** What a join needs done for it. */
export interface JoinActions {
  /** The join no longer waits: its cursor takes its first step. */
  start(join: Join): void;
  /** Called right before the reply: the connection is a member now. */
  joined(join: Join): void;
  /** Called right before the reply: the membership ends. */
  failed(join: Join): void;
  /** A message that waited for the join. */
  publishHeld(connection: Connection, command: PublishCommand): void;
}

/**
 * `waiting`: for the feed to open, for what the user has acknowledged, for the members, or several of them.
 * `started`: what it missed is being found. `over`: it was answered.
 */
export type JoinState = 'waiting' | 'started' | 'over';

/** What a join waits for before it starts. */
export interface JoinWaits {
  readonly feed: boolean;
  readonly acked: boolean;
  readonly members: boolean;
}

/**
 * One join, from the command to its reply. It owns what the join waits for, the reply, and the messages that
 * the same connection publishes in the room in the meantime: a client that sends both at once expects to
 * receive its own message, and would not if it were stored before the join begins.
 */
export class Join implements FeedWaiter, CursorOwner {
  readonly cursor: Cursor;
  /** The presence data that the member has once it has joined; undefined: what it had before. */
  data: PackedValue | null | undefined;
  /** What the command asked for that needs a right of its own. */
  wish: Omit<JoinAsks, 'data'> = PLAIN_JOIN;
  /** The connection was not in the room before. */
  isFirst = false;
  readonly #reply: JoinReply;
  readonly #actions: JoinActions;
  #state: JoinState = 'waiting';
  #waitsForFeed = false;
  #waitsForAcked = false;
  #waitsForMembers = false;
  /** Answers who is in the room, if the reply must say so. */
  #members: (() => MembersSnapshot) | null = null;
  /** It asked for what came after a position. */
  #asksForMissed = false;
  /** What its user has acknowledged, if the reply must say so. */
  #acked: Acked | null = null;
  #held: PublishCommand[] | null = null;

  /** `last`: at most so many of the newest messages follow. */
  constructor(
    connection: Connection,
    feed: Feed,
    from: JoinFrom,
    last: number | null,
    reply: JoinReply,
    actions: JoinActions,
  ) {
    this.cursor = Cursor.joining(connection, feed, last, this);
    this.#reply = reply;
    this.#actions = actions;
    if (from === null || from === 'acked') return;
    this.#asksForMissed = true;
    this.cursor.startAfter(from);
  }

  /** What it needs rights for, until it has joined: they may be lost while it waits. */
  get asks(): JoinAsks {
    return { ...this.wish, data: this.data ?? null };
  }

  get connection(): Connection {
    return this.cursor.connection;
  }

  get feed(): Feed {
    return this.cursor.feed;
  }

  get state(): JoinState {
    return this.#state;
  }

  /**
   * Starts, or waits as told: then `feedOpened`, one of `ackedKnown` and `startKnown`, `membersKnown`, or those
   * that it waits for must follow, or `lookUpFailed`.
   */
  begin(waits: JoinWaits): void {
    this.#waitsForFeed = waits.feed;
    this.#waitsForAcked = waits.acked;
    this.#waitsForMembers = waits.members;
    this.#startIfReady();
  }

  feedOpened(error: BackplaneError | null): void {
    if (this.#state !== 'waiting') return;
    if (error !== null) return this.failed(error);
    this.#waitsForFeed = false;
    this.#startIfReady();
  }

  ackedKnown(acked: Acked): void {
    if (this.#state !== 'waiting') return;
    this.#acked = acked;
    this.#waitsForAcked = false;
    this.#startIfReady();
  }

  /**
   * It begins at its user's start. After a new start nothing can be missed: the user asked for no position.
   */
  startKnown({ epoch, offset, isNew }: Start): void {
    if (this.#state !== 'waiting') return;
    this.#asksForMissed = !isNew;
    this.cursor.startAfter([epoch, offset]);
    this.cursor.isKept = epoch !== '';
    this.ackedKnown({ epoch, offset });
  }

  /** `members` is called right before the reply. */
  membersKnown(members: () => MembersSnapshot): void {
    if (this.#state !== 'waiting') return;
    this.#members = members;
    this.#waitsForMembers = false;
    this.#startIfReady();
  }

  lookUpFailed(error: JoinFailure): void {
    if (this.#state === 'waiting') this.failed(error);
  }

  #startIfReady(): void {
    if (this.#waitsForFeed || this.#waitsForAcked || this.#waitsForMembers) return;
    this.#state = 'started';
    this.#actions.start(this);
    this.#release();
  }

  /** Holds a message until the join has started. Copies its bytes. */
  hold(command: PublishCommand): void {
    this.connection.requests++;
    this.#held ??= [];
    this.#held.push({ ...command, data: new Uint8Array(command.data) });
  }

  #release(): void {
    for (const command of this.takeHeld()) this.#actions.publishHeld(this.connection, command);
  }

  /** Hands over the messages that wait. */
  takeHeld(): readonly PublishCommand[] {
    const held = this.#held ?? [];
    this.#held = null;
    this.connection.requests -= held.length;
    return held;
  }

  begun(recovered: boolean, from: number): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#actions.joined(this);
    const result = this.#result(recovered, from);
    this.#reply.joined(this.#members === null ? result : { ...result, members: this.#members() });
  }

  #result(recovered: boolean, from: number): JoinResult {
    const { cursor, feed } = this;
    const asked = recovered && this.#asksForMissed;
    // What is replayed ends where the topic stands: what is pending is live.
    if (cursor.last !== null) {
      return this.#withAcked({ epoch: feed.epoch, offset: feed.sentOffset, recovered: asked, from });
    }
    // Pending messages have not been sent yet: a member that starts at the topic's position still gets them.
    const isLive = cursor.epoch === feed.sentEpoch && cursor.offset === feed.sentOffset;
    const offset = isLive ? feed.sentOffset : feed.offset;
    return this.#withAcked({ epoch: feed.epoch, offset, recovered: asked });
  }

  #withAcked(result: JoinResult): JoinResult {
    if (this.#acked === null) return result;
    return { ...result, acked: this.#acked.epoch === result.epoch ? this.#acked.offset : null };
  }

  failed(failure: JoinFailure): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#actions.failed(this);
    this.#reply.failed(failure);
    this.#release();
  }

  /** The membership ended, or started over. The caller handles messages that wait; see `takeHeld`. */
  abandon(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#reply.abandoned();
  }
}
