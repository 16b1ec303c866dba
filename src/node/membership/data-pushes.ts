import type { PresenceEntry } from '../../backplane/presence.ts';
import { msgpackCodec } from '../../protocol/codec.ts';
import type { PresenceFrame } from '../../protocol/frames.ts';
import { ByteBudget } from '../../util/byte-budget.ts';
import { Interval } from '../../util/interval.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';
import { DATA_WINDOW_MS } from './member-data.ts';

/** Frames of one room leave in WebSocket messages of about this many bytes. */
const JOINED_BYTES = 64 * 1024;

export interface DataPushesParts {
  readonly scheduler: Scheduler;
  /** That each member of a room is sent, a second's worth at once after a pause; 0: no limit. */
  readonly dataBytesPerSecond: number;
  /** So many changes are on their way to members. */
  told(changes: number): void;
  /** A change took the place of one that had not been told. */
  merged(): void;
}

/** A room in which data changed lately. */
interface BusyRoom {
  readonly feed: Feed;
  readonly waiting: Map<string, PresenceEntry>;
  readonly budget: ByteBudget;
}

/**
 * Tells members what changed in the data of others. A room's changes leave at once after a pause and then
 * together, once in a window. What is more than the budget waits, those that wait longest first, and a newer
 * change of the same member takes the place of the one that waits. So a member is sent so many bytes a second
 * at most, and nothing waits longer than it takes to tell each member's data once.
 */
export class DataPushes {
  readonly #parts: DataPushesParts;
  readonly #busy = new Map<Feed, BusyRoom>();
  /** Rooms that were quiet before this turn's changes. */
  readonly #fresh = new Set<BusyRoom>();
  readonly #windows: Interval;

  constructor(parts: DataPushesParts) {
    this.#parts = parts;
    this.#windows = new Interval(parts.scheduler, DATA_WINDOW_MS, () => this.#nextWindow());
  }

  add(feed: Feed, who: PresenceEntry): void {
    const room = this.#room(feed);
    if (room.waiting.has(who.connection)) this.#parts.merged();
    room.waiting.set(who.connection, who);
  }

  /** All changes that came together were added. */
  flush(): void {
    for (const room of this.#fresh) this.#send(room);
    this.#fresh.clear();
  }

  /** Members are told of this connection in another way, after which old data would be wrong. */
  drop(feed: Feed, connection: string): void {
    this.#busy.get(feed)?.waiting.delete(connection);
  }

  /** What waits was overtaken: changes were missed. `latest`: undefined for a connection that has left. */
  correct(feed: Feed, latest: (connection: string) => PresenceEntry | undefined): void {
    const waiting = this.#busy.get(feed)?.waiting;
    for (const connection of waiting?.keys() ?? []) {
      const who = latest(connection);
      if (who === undefined) waiting?.delete(connection);
      else waiting?.set(connection, who);
    }
  }

  forget(feed: Feed): void {
    this.#busy.delete(feed);
  }

  stop(): void {
    this.#windows.stop();
  }

  #room(feed: Feed): BusyRoom {
    let room = this.#busy.get(feed);
    if (room === undefined) {
      const perSecond = this.#parts.dataBytesPerSecond;
      room = { feed, waiting: new Map(), budget: new ByteBudget(perSecond, perSecond) };
      this.#busy.set(feed, room);
      this.#fresh.add(room);
      this.#windows.start();
    }
    return room;
  }

  #nextWindow(): void {
    const nowMs = this.#parts.scheduler.nowMs();
    for (const room of this.#busy.values()) {
      if (room.waiting.size > 0) this.#send(room);
      else if (room.budget.isWhole(nowMs)) this.#busy.delete(room.feed);
    }
    if (this.#busy.size === 0) this.#windows.pause();
  }

  #send({ feed, waiting, budget }: BusyRoom): void {
    const nowMs = this.#parts.scheduler.nowMs();
    let frames: PresenceFrame[] = [];
    let bytes = 0;
    for (const [connection, who] of waiting) {
      if (budget.waitMs(nowMs) > 0) break;
      const frame: PresenceFrame = ['presence', feed.room.name, who];
      const size = msgpackCodec.encode(frame).length;
      budget.spend(size, nowMs);
      waiting.delete(connection);
      frames.push(frame);
      bytes += size;
      if (bytes < JOINED_BYTES) continue;
      this.#push(feed, frames);
      frames = [];
      bytes = 0;
    }
    this.#push(feed, frames);
  }

  #push(feed: Feed, frames: readonly PresenceFrame[]): void {
    if (frames.length === 0) return;
    this.#parts.told(frames.length);
    feed.pushAll(frames);
  }
}
