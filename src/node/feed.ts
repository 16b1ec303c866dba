import type { Envelope } from '../backplane/envelope.ts';
import type { Room } from '../hub/room.ts';
import type { PushFrame } from '../protocol/frames.ts';
import type { Cursor } from './cursor.ts';
import { RecentEnvelopes } from './recent.ts';
import type { RoomRule } from './room-rule.ts';

/**
 * `opening`: being subscribed, its position not yet known. `live`: envelopes are handed out as they come.
 * `repairing`: a hole is being read from history. Envelopes that come while it is not live are held.
 */
export type FeedState = 'opening' | 'live' | 'repairing';

/** Most bytes of recent envelopes that a node keeps for a room. */
const RECENT_BYTES = 4 * 1024 * 1024;

/** One room's stream of messages on this node, from the moment its first member comes. */
export class Feed {
  readonly room: Room;
  readonly rule: RoomRule;
  readonly recent: RecentEnvelopes;
  state: FeedState = 'opening';
  epoch = '';
  /** Offset of the newest message that was handed to fan-out, what waits in `pending` included. */
  offset = 0;
  /** What leaves at the end of the turn, in order: envelopes, and pushes that stand between them. */
  pending: (Envelope | PushFrame)[] = [];
  /** What arrived while the feed was not live. */
  held: Envelope[] = [];
  heldBytes = 0;
  /** Someone is reading what it missed. */
  isReading = false;
  /** Members that are catching up, and so are not on the topic. */
  readonly cursors = new Set<Cursor>();
  /** Called, in order, and forgotten when the feed is no longer opening. */
  whenOpened: (() => void)[] = [];
  /** When its last member left, or null while it has members. */
  idleSinceMs: number | null = null;
  /** One read of the whole history into `recent`, shared by all who come back at once. */
  priming: Promise<void> | null = null;

  constructor(room: Room, rule: RoomRule) {
    this.room = room;
    this.rule = rule;
    const { messages, ageMs } = rule.history;
    this.recent = new RecentEnvelopes({ messages, ageMs, bytes: RECENT_BYTES });
  }

  get keepsHistory(): boolean {
    return this.rule.history.messages > 0;
  }

  /** The feed is open, or could not be opened. */
  opened(): void {
    const waiting = this.whenOpened;
    this.whenOpened = [];
    for (const go of waiting) go();
  }

  /** The feed starts, or starts anew, after this position. */
  moveTo(epoch: string, offset: number): void {
    if (epoch !== this.epoch) this.recent.clear();
    this.epoch = epoch;
    this.offset = offset;
  }

  /** Takes the envelope that follows on. */
  append(envelope: Envelope, nowMs: number): void {
    this.pending.push(envelope);
    if (!this.keepsHistory) return;
    this.offset = envelope.last;
    this.recent.append(envelope, nowMs);
  }
}
