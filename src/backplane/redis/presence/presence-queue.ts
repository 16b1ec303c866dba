/**
 * Presence updates waiting to be written, in the order of the calls within each room, and which entries of
 * this node the store may have. Bounded by the node's own memberships: when much waits, only the last update
 * of each connection and room is kept, and a connection that came and went unseen is forgotten.
 */
import { systemScheduler } from '../../../util/scheduler.ts';

/** `who` null: it leaves. */
interface Update {
  readonly connection: string;
  readonly who: Uint8Array | null;
  readonly number: number;
}

/** Changes of one room that go into one call. */
export interface UpdateBatch {
  readonly room: OwnRoom;
  readonly updates: readonly Update[];
}

/** A room in which this node has entries, or is about to. */
export interface OwnRoom {
  readonly name: string;
  announce: boolean;
  /** The flag with which the room is on the node's list in the store; null if it is not known to be there. */
  registered: boolean | null;
  /** Connections that the store may have. */
  readonly stored: Set<string>;
  waiting: Update[];
  /** A batch of it was taken, and its outcome is open. */
  isInFlight: boolean;
}

export interface TakeLimits {
  readonly updates: number;
  readonly bytes: number;
}

/** How much may wait beyond the necessary before the queue is compacted. */
const SLACK = 8_192;
/** After this a call cannot arrive any more: systems give up what a closed connection has not delivered within about 15 minutes. */
const DOUBT_MS = 60 * 60 * 1000;

export class PresenceQueue {
  readonly #rooms = new Map<string, OwnRoom>();
  /** Rooms with updates, the longest waiting first. */
  readonly #waiting = new Set<OwnRoom>();
  /** Rooms with a call that was never answered, and when that was: the latest last. */
  readonly #doubtful = new Map<string, number>();
  #count = 0;
  #number = 0;
  #compactAt = SLACK;
  readonly #nowMs: () => number;

  constructor(nowMs = () => systemScheduler.nowMs()) {
    this.#nowMs = nowMs;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether the store may have entries of this node. */
  get hasStored(): boolean {
    for (const { stored } of this.#rooms.values()) if (stored.size > 0) return true;
    return false;
  }

  /** Whether this node has entries in a room, is about to, or may get some by a call that was never answered. */
  mayHave(room: string): boolean {
    this.#forgetDoubts();
    return this.#rooms.has(room) || this.#doubtful.has(room);
  }

  /** Of the newest update. */
  get number(): number {
    return this.#number;
  }

  push(name: string, connection: string, who: Uint8Array | null, announce: boolean): void {
    const room = this.#room(name, announce);
    room.announce = announce;
    room.waiting.push({ connection, who, number: ++this.#number });
    this.#waiting.add(room);
    if (++this.#count >= this.#compactAt) this.#compact();
  }

  /** Takes the oldest updates of the rooms that wait longest and can be written; the rest of a room queues again. */
  take({ updates, bytes }: TakeLimits, canWrite: (room: string) => boolean = always): UpdateBatch[] {
    const batches: UpdateBatch[] = [];
    let size = 0;
    for (const room of this.#waiting) {
      if (!canWrite(room.name)) continue;
      const taken: Update[] = [];
      for (const update of room.waiting) {
        if (updates === 0 || size >= bytes) break;
        taken.push(update);
        size += update.connection.length + (update.who?.length ?? 0);
        updates--;
      }
      if (taken.length === 0) break;
      room.isInFlight = true;
      this.#remove(room, taken.length);
      for (const { connection, who } of taken) if (who !== null) room.stored.add(connection);
      batches.push({ room, updates: taken });
    }
    return batches;
  }

  /**
   * The store did all of it. True if the room can leave the node's list: the node has nothing in it any more,
   * and no unanswered call could still arrive, over a link that is gone, and enter a connection. Such a room
   * stays on the list, so that what it entered is removed with the node.
   */
  written({ room, updates }: UpdateBatch): boolean {
    room.isInFlight = false;
    for (const { connection, who } of updates) {
      if (who === null) room.stored.delete(connection);
      else room.stored.add(connection);
    }
    this.#forgetDoubts();
    return this.#forgetIfEmpty(room) && !this.#doubtful.has(room.name);
  }

  /**
   * To be written again: only the last update of each connection, which is harmless to repeat, while the
   * first of two could be announced twice. `isDoubtful`: it was sent and not answered, so the store may or
   * may not have done it.
   */
  putBack({ room, updates }: UpdateBatch, isDoubtful: boolean): void {
    if (isDoubtful) {
      this.#forgetDoubts();
      this.#doubtful.delete(room.name);
      this.#doubtful.set(room.name, this.#nowMs());
    }
    room.isInFlight = false;
    const kept = lastUpdates(updates, room.stored);
    this.#count += kept.length;
    room.waiting = [...kept, ...room.waiting];
    if (room.waiting.length > 0) this.#waiting.add(room);
    this.#forgetIfEmpty(room);
  }

  /** The store will never accept these: they are dropped. */
  dropped({ room }: UpdateBatch): void {
    room.isInFlight = false;
    this.#forgetIfEmpty(room);
  }

  /** The number of the oldest waiting update of a room (null: of all rooms), or infinity. */
  oldest(name: string | null): number {
    if (name !== null) return this.#rooms.get(name)?.waiting[0]?.number ?? Infinity;
    let oldest = Infinity;
    for (const { waiting } of this.#waiting) oldest = Math.min(oldest, waiting[0]?.number ?? Infinity);
    return oldest;
  }

  /** The node's list of rooms in the store is gone, or about to be. */
  unregister(): void {
    for (const room of this.#rooms.values()) room.registered = null;
  }

  #forgetDoubts(): void {
    const untilMs = this.#nowMs() - DOUBT_MS;
    for (const [name, sinceMs] of this.#doubtful) {
      if (sinceMs > untilMs) return;
      this.#doubtful.delete(name);
    }
  }

  #room(name: string, announce: boolean): OwnRoom {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = { name, announce, registered: null, stored: new Set(), waiting: [], isInFlight: false };
      this.#rooms.set(name, room);
    }
    return room;
  }

  #remove(room: OwnRoom, count: number): void {
    room.waiting = count === room.waiting.length ? [] : room.waiting.slice(count);
    this.#count -= count;
    this.#waiting.delete(room);
    if (room.waiting.length > 0) this.#waiting.add(room);
  }

  #compact(): void {
    for (const room of this.#waiting) {
      const kept = lastUpdates(room.waiting, room.stored);
      this.#count -= room.waiting.length - kept.length;
      room.waiting = kept;
      if (kept.length === 0) this.#waiting.delete(room);
      this.#forgetIfEmpty(room);
    }
    this.#compactAt = 2 * this.#count + SLACK;
  }

  #forgetIfEmpty(room: OwnRoom): boolean {
    if (room.isInFlight || room.stored.size > 0 || room.waiting.length > 0) return false;
    this.#rooms.delete(room.name);
    return true;
  }
}

function always(): boolean {
  return true;
}

/** In order. A connection that leaves and was never stored needs no update. */
function lastUpdates(updates: readonly Update[], stored: ReadonlySet<string>): Update[] {
  const last = new Map<string, Update>();
  for (const update of updates) last.set(update.connection, update);
  return updates.filter(
    (update) =>
      last.get(update.connection) === update && (update.who !== null || stored.has(update.connection)),
  );
}
