/**
 * Who is in which room of the only node. Changes gather for a turn, as they do on their way to Redis, so that
 * events come in the same batches and never from inside `enter`; no lease can lapse, since the entries die
 * with the process.
 */
import { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import { SHUTTING_DOWN, unavailable } from '../backplane.ts';
import type {
  Presence,
  PresenceChange,
  PresenceEntry,
  PresenceEvents,
  PresencePage,
  RoomsPage,
} from '../presence.ts';
import { PresentRooms } from '../present-rooms.ts';

export interface MemoryPresenceOptions {
  readonly nodeId: string;
  readonly scheduler: Scheduler;
  readonly isSubscribed: (room: string) => boolean;
}

interface Room {
  readonly entries: Map<string, PresenceEntry>;
  /** How many entries each user has: counting them for each list would take time proportional to the room. */
  readonly users: Map<string, number>;
}

/** A change that waits for the end of the turn. `isEnter` false: it leaves. */
interface Update {
  readonly isEnter: boolean;
  readonly entry: PresenceEntry;
  readonly announce: boolean;
}

export class MemoryPresence implements Presence {
  readonly #options: MemoryPresenceOptions;
  readonly #rooms = new Map<string, Room>();
  readonly #endOfTurn: EndOfTurn;
  #waiting = new Map<string, Update[]>();
  #events: PresenceEvents | null = null;
  #isClosed = false;

  constructor(options: MemoryPresenceOptions) {
    this.#options = options;
    this.#endOfTurn = new EndOfTurn(options.scheduler, () => this.#flush());
  }

  async start(events: PresenceEvents): Promise<void> {
    this.#events = events;
  }

  enter(room: string, entry: PresenceEntry, announce: boolean): void {
    this.#enqueue(room, { isEnter: true, entry, announce });
  }

  leave(room: string, entry: PresenceEntry, announce: boolean): void {
    this.#enqueue(room, { isEnter: false, entry, announce });
  }

  async list(room: string, limit: number): Promise<PresencePage> {
    this.#checkOpen();
    this.#flush();
    const { entries, users } = this.#rooms.get(room) ?? EMPTY;
    const members: PresenceEntry[] = [];
    for (const entry of entries.values()) {
      if (members.length >= limit) break;
      members.push(entry);
    }
    return { count: entries.size, users: users.size, members, truncated: members.length < entries.size };
  }

  async rooms(limit: number): Promise<RoomsPage> {
    this.#checkOpen();
    this.#flush();
    const present = new PresentRooms(limit);
    present.add([...this.#rooms].map(([room, { entries }]) => ({ room, count: entries.size })));
    return present.page();
  }

  async nodes(): Promise<readonly string[]> {
    this.#checkOpen();
    return [this.#options.nodeId];
  }

  async close(): Promise<void> {
    this.#flush();
    this.#isClosed = true;
    this.#rooms.clear();
  }

  #enqueue(room: string, update: Update): void {
    if (this.#isClosed) return;
    const updates = this.#waiting.get(room);
    if (updates === undefined) this.#waiting.set(room, [update]);
    else updates.push(update);
    this.#endOfTurn.request();
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const [room, updates] of waiting) {
      const changes = this.#apply(room, updates);
      if (changes.length > 0 && this.#options.isSubscribed(room)) this.#events?.changed(room, changes);
    }
  }

  /** The changes to announce. */
  #apply(room: string, updates: readonly Update[]): PresenceChange[] {
    const { entries, users } = this.#rooms.get(room) ?? { entries: new Map(), users: new Map() };
    const changes: PresenceChange[] = [];
    for (const { isEnter, entry, announce } of updates) {
      const before = entries.get(entry.connection);
      if (isEnter) entries.set(entry.connection, entry);
      else entries.delete(entry.connection);
      if (isEnter) countUser(users, entry.user, 1);
      if (before !== undefined) countUser(users, before.user, -1);
      if (!announce || isEnter === (before !== undefined)) continue;
      // As in Redis, the entry that leaves is the one that entered.
      const who = before ?? entry;
      changes.push({ change: isEnter ? 'joined' : 'left', who, count: entries.size });
    }
    if (entries.size === 0) this.#rooms.delete(room);
    else this.#rooms.set(room, { entries, users });
    return changes;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('presence', SHUTTING_DOWN);
  }
}

const EMPTY: Room = { entries: new Map(), users: new Map() };

function countUser(users: Map<string, number>, user: string | null, by: number): void {
  if (user === null) return;
  const count = (users.get(user) ?? 0) + by;
  if (count > 0) users.set(user, count);
  else users.delete(user);
}
