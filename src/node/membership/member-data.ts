import type { Connection } from '../../connection/connection.ts';
import type { PackedValue } from '../../protocol/frames.ts';
import { Interval } from '../../util/interval.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';

/** A member's data is written once in this time at most, the latest of what it was set to. */
export const DATA_WINDOW_MS = 100;

/** What one member has brought into one room. */
interface Brought {
  readonly connection: Connection;
  readonly feed: Feed;
  data: PackedValue | null;
  /** The window from which on it may be written again. */
  freeFrom: number;
}

export interface MemberDataParts {
  readonly scheduler: Scheduler;
  /** Writes an entry, with the data that it has now. */
  write(connection: Connection, feed: Feed): void;
  /** A change took the place of one that had not been written. */
  merged(): void;
}

/**
 * The presence data of this node's members. A change is written at once, and those that follow within a window
 * are merged. Windows are counted instead of measured: a timer that fires late must not make a member wait for
 * two of them.
 */
export class MemberData {
  readonly #parts: MemberDataParts;
  readonly #brought = new Map<Connection, Map<string, Brought>>();
  readonly #waiting = new Set<Brought>();
  #window = 0;
  /** From then on all members are free, and no window needs to be counted. */
  #allFreeFrom = 0;
  readonly #windows: Interval;

  constructor(parts: MemberDataParts) {
    this.#parts = parts;
    this.#windows = new Interval(parts.scheduler, DATA_WINDOW_MS, () => this.#nextWindow());
  }

  get(connection: Connection, feed: Feed): PackedValue | null {
    return this.#find(connection, feed)?.data ?? null;
  }

  /** Keeps what a member brings when its entry is about to be written. The bytes must not change. */
  bring(connection: Connection, feed: Feed, data: PackedValue | null): void {
    if (data === null && this.#find(connection, feed) === undefined) return;
    const brought = this.#keep(connection, feed);
    brought.data = data;
    this.#wrote(brought, this.#window + 2);
  }

  /** Changes what a member has, and writes it as soon as that may be. The bytes must not change. */
  set(connection: Connection, feed: Feed, data: PackedValue | null): void {
    const brought = this.#keep(connection, feed);
    if (isSame(brought.data, data)) return;
    brought.data = data;
    if (this.#window < brought.freeFrom) {
      if (this.#waiting.has(brought)) this.#parts.merged();
      this.#waiting.add(brought);
      return;
    }
    this.#parts.write(connection, feed);
    // Some of this window is over: without the next one, two changes could be nearer than a window.
    this.#wrote(brought, this.#window + 2);
  }

  /** The member has left. Harmless if it brought nothing. */
  forget(connection: Connection, feed: Feed): void {
    const rooms = this.#brought.get(connection);
    const brought = rooms?.get(feed.room.name);
    if (rooms === undefined || brought === undefined) return;
    this.#waiting.delete(brought);
    rooms.delete(feed.room.name);
    if (rooms.size === 0) this.#brought.delete(connection);
  }

  stop(): void {
    this.#windows.stop();
  }

  #find(connection: Connection, feed: Feed): Brought | undefined {
    return this.#brought.get(connection)?.get(feed.room.name);
  }

  #keep(connection: Connection, feed: Feed): Brought {
    let rooms = this.#brought.get(connection);
    if (rooms === undefined) {
      rooms = new Map();
      this.#brought.set(connection, rooms);
    }
    let brought = rooms.get(feed.room.name);
    if (brought === undefined) {
      brought = { connection, feed, data: null, freeFrom: 0 };
      rooms.set(feed.room.name, brought);
    }
    return brought;
  }

  #wrote(brought: Brought, freeFrom: number): void {
    brought.freeFrom = freeFrom;
    this.#allFreeFrom = Math.max(this.#allFreeFrom, freeFrom);
    this.#windows.start();
  }

  #nextWindow(): void {
    this.#window++;
    for (const brought of this.#waiting) {
      if (this.#window < brought.freeFrom) continue;
      this.#waiting.delete(brought);
      this.#parts.write(brought.connection, brought.feed);
      this.#wrote(brought, this.#window + 1);
    }
    if (this.#waiting.size === 0 && this.#window >= this.#allFreeFrom) this.#windows.pause();
  }
}

function isSame(a: PackedValue | null, b: PackedValue | null): boolean {
  return a === b || (a !== null && b !== null && Buffer.compare(a, b) === 0);
}
