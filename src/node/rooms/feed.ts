import type { BackplaneError } from '../../backplane/backplane.ts';
import type { Envelope } from '../../backplane/envelope.ts';
import type { RoomRule } from '../../config/room-rule.ts';
import type { HubConnection } from '../../hub/hub.ts';
import type { Room } from '../../hub/room.ts';
import type { PushFrame } from '../../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import { NewestPerKey } from './newest-per-key.ts';
import { RecentEnvelopes, type RecentMemory } from './recent.ts';

/**
 * `opening`: being subscribed, its position not known yet. `live`: envelopes are passed on as they arrive.
 * `repairing`: missed messages are being read. `unread`: they could not be read, and the next check reads them.
 */
export type FeedState = 'opening' | 'live' | 'repairing' | 'unread';

/** Waits for a feed to open. Called once. */
export interface FeedWaiter {
  /** `error`: it could not be opened, and is closed. */
  feedOpened(error: BackplaneError | null): void;
}

/** Maximum bytes of held envelopes; beyond this they are dropped, and read from history instead. */
const HELD_BYTES = 8 * 1024 * 1024;

/**
 * One room's stream of messages on this node, from the arrival of its first member: its position, what waits
 * to be fanned out, and what cannot be yet because something before it is missing. No I/O: others read and
 * send for it.
 */
export class Feed {
  readonly room: Room;
  readonly rule: RoomRule;
  /** Members are told of each other. Personal rooms show none. */
  readonly hasMemberEvents: boolean;
  readonly recent: RecentEnvelopes;
  /** Where the room keeps no history; else null. */
  readonly newest: NewestPerKey | null;
  state: FeedState = 'opening';
  epoch = '';
  /** Offset of the newest message handed to fan-out, including those in `pending`. */
  offset = 0;
  /**
   * Offset of the newest message that arrived over the room's channel, or that can no longer be expected to. Behind `offset` where
   * messages were read before they arrived, or the room is deaf.
   */
  heardTo = 0;
  /** How far the room's topics have been served: behind `epoch` and `offset` by what is pending. */
  sentEpoch = '';
  sentOffset = 0;
  /** What leaves at the end of the turn, in order: envelopes, and the pushes between them. */
  #pending: (Envelope | readonly PushFrame[])[] | null = null;
  /** Envelopes that arrived and do not follow, or arrived while the feed was not live. */
  held: Envelope[] = [];
  /** What is being read may be older than what it missed: it is read again. */
  mustReadAgain = false;
  /** How many of its members are catching up, and so are not on their topic. Counted by `CatchUp`. */
  binaryBehind = 0;
  textBehind = 0;
  eventsBehind = 0;
  /** Members on their topic that are not told of other members; null: none. */
  unaware: Set<HubConnection> | null = null;
  /** How many members its members were last told of; null: they were told nothing yet. */
  toldCount: number | null = null;
  /** When its last member left, or null while it has members. */
  idleSinceMs: number | null = null;
  #heldBytes = 0;
  #waiters: FeedWaiter[] = [];
  readonly #dirty: (feed: Feed) => void;

  /** Calls `dirty` when something becomes pending. */
  constructor(room: Room, rule: RoomRule, dirty: (feed: Feed) => void, memory?: RecentMemory) {
    this.room = room;
    this.rule = rule;
    this.hasMemberEvents = rule.memberEvents && !room.name.startsWith(USER_ROOM_PREFIX);
    this.#dirty = dirty;
    const { messages, ageMs, bytes = 0 } = rule.history;
    this.newest = messages > 0 ? null : new NewestPerKey(ageMs);
    const limits = { messages, ageMs, ...(bytes === 0 ? {} : { bytes }) };
    this.recent = new RecentEnvelopes(limits, memory);
  }

  get keepsHistory(): boolean {
    return this.rule.history.messages > 0;
  }

  /** How many messages the room keeps. */
  get keptMessages(): number {
    return this.rule.history.messages;
  }

  /** How far the topics of a room without history have been served. */
  get sentMark(): number {
    return this.newest?.sent ?? 0;
  }

  get isOpening(): boolean {
    return this.state === 'opening';
  }

  /** A read is in progress: of its position, or of what it missed. */
  get isReading(): boolean {
    return this.isOpening || this.state === 'repairing';
  }

  /** Calls the waiter when the feed is no longer opening, in the order of the calls. */
  whenOpened(waiter: FeedWaiter): void {
    this.#waiters.push(waiter);
  }

  /** The feed is open, or could not be opened. */
  opened(error: BackplaneError | null): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.feedOpened(error);
  }

  /** The feed starts after this position. */
  startAt(epoch: string, offset: number): void {
    this.epoch = epoch;
    this.offset = offset;
    this.heardTo = offset;
    this.sentEpoch = epoch;
    this.sentOffset = offset;
  }

  /**
   * Takes an envelope if it follows, or is old and can be skipped; else returns false. `epoch` is that of the
   * page it was read in: messages that survived the end of an epoch are stored with the old one.
   */
  take(envelope: Envelope, nowMs: number, epoch = envelope.epoch): boolean {
    if (this.newest !== null) {
      if (this.newest.hasStartedWith(envelope, nowMs)) return true;
      this.newest.arrived(envelope);
      this.#add(envelope);
      return true;
    }
    if (envelope.first === 0) return this.#takeUnnumbered(envelope);
    if (epoch !== this.epoch) return false;
    if (envelope.last <= this.offset) return true;
    if (envelope.first !== this.offset + 1) return false;
    this.offset = envelope.last;
    this.recent.append(envelope, nowMs);
    this.#add(envelope);
    return true;
  }

  /**
   * Signals are passed on where they were sent: not before a message that they follow, and not after one that
   * follows them. Envelopes that do not say where that was are from a room that kept no history then.
   */
  #takeUnnumbered(envelope: Envelope): boolean {
    const isPlaced = envelope.epoch !== '';
    if (isPlaced && (envelope.epoch !== this.epoch || envelope.sentAfter > this.offset)) return false;
    if (!isPlaced || envelope.sentAfter === this.offset) this.#add(envelope);
    return true;
  }

  /** Notes that an envelope arrived over the room's channel. One of another epoch has other numbers. */
  hear(envelope: Envelope): void {
    if (envelope.last > this.heardTo && envelope.epoch === this.epoch) this.heardTo = envelope.last;
  }

  /** Keeps an envelope until what is missing before it has been read. */
  hold(envelope: Envelope): void {
    // One that is not read again must not be the one that says how far to read.
    if (envelope.isSignal && this.#heldBytes + envelope.bytes.length > HELD_BYTES) return;
    this.#heldBytes += envelope.bytes.length;
    if (this.#heldBytes > HELD_BYTES) {
      // Reading on from history finds them again; the newest alone says how far to read.
      this.held = [];
      this.#heldBytes = envelope.bytes.length;
    }
    this.held.push(envelope.copy());
  }

  /** Hands over the held envelopes. */
  releaseHeld(): Envelope[] {
    const { held } = this;
    this.held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** Drops what arrived before the newest message that the feed starts with, and this one. */
  dropHeldBeforeStart(newest: NewestPerKey, nowMs: number): void {
    const held = this.releaseHeld();
    const last = held.findLastIndex((envelope) => newest.hasStartedWith(envelope, nowMs));
    for (const envelope of held.slice(last + 1)) this.hold(envelope);
  }

  /**
   * Takes the held envelopes up to the first that does not follow. Returns true when none is left over. Later
   * ones stay held, or something without a number would overtake it.
   */
  takeHeld(nowMs: number): boolean {
    let follows = true;
    for (const envelope of this.releaseHeld()) {
      follows = follows && this.take(envelope, nowMs);
      // The epoch may not have been known when it arrived.
      if (follows) this.hear(envelope);
      else this.hold(envelope);
    }
    return follows;
  }

  /** Messages up to this offset are no longer stored: members are told, and the feed continues after them. */
  gap(to: number): void {
    this.push(['gap', this.room.name, this.offset + 1, to, 'expired']);
    this.recent.clear();
    this.recent.noteGone(to);
    this.offset = to;
  }

  /** The room's numbering started over: members are told, and the feed continues after this position. */
  reset(epoch: string, offset: number): void {
    this.push(['reset', this.room.name, epoch, offset]);
    this.recent.clear();
    this.epoch = epoch;
    this.offset = offset;
    this.heardTo = offset;
  }

  get hasPending(): boolean {
    return this.#pending !== null;
  }

  /** Hands over what is pending; null if nothing is. */
  takePending(): readonly (Envelope | readonly PushFrame[])[] | null {
    const pending = this.#pending;
    this.#pending = null;
    return pending;
  }

  /** A push to all members, in order with the messages. */
  push(frame: PushFrame): void {
    this.#add([frame]);
  }

  /** Pushes of one type that leave as one WebSocket message. */
  pushAll(frames: readonly PushFrame[]): void {
    this.#add(frames);
  }

  #add(item: Envelope | readonly PushFrame[]): void {
    if (this.#pending !== null) {
      this.#pending.push(item);
      return;
    }
    // A literal: a list that grows would be ten times as large, and usually there is one.
    this.#pending = [item];
    this.#dirty(this);
  }
}
