/**
 * Who is in which room of the only node. Changes gather for a turn, as they do on their way to Redis, so that
 * events come in the same batches and never from inside `enter`; no lease can lapse, since the entries die
 * with the process.
 */
import { EndOfTurn } from '../../util/end-of-turn.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import { SHUTTING_DOWN, unavailable } from '../backplane.ts';
import type {
  OwnEntry,
  Presence,
  PresenceChange,
  PresenceEntry,
  PresenceEvents,
  PresencePage,
  RoomsPage,
} from '../presence.ts';
import { packWho, unpackWho } from '../presence-event.ts';
import { PresentRooms } from '../present-rooms.ts';

export interface MemoryPresenceOptions {
  readonly nodeId: string;
  readonly scheduler: Scheduler;
  readonly isSubscribed: (room: string) => boolean;
}

interface Entry {
  readonly who: PresenceEntry;
  /** As in Redis: equal bytes are an equal entry. */
  readonly bytes: Uint8Array;
}

interface Room {
  readonly entries: Map<string, Entry>;
  /** Its connections in order, once somebody has asked for a page; null when that is out of date. */
  order: readonly string[] | null;
  /** How many entries each user has: counting them for each list would take time proportional to the room. */
  readonly users: Map<string, number>;
}

/** A change that waits for the end of the turn. `entry` null: it leaves. */
interface Update {
  readonly connection: string;
  readonly entry: Entry | null;
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

  enter(room: string, entry: OwnEntry, announce: boolean): void {
    const { connection } = entry;
    const bytes = packWho(entry);
    // Out of the bytes, as in Redis: nobody shares values with the caller. `packWho` made them.
    this.#enqueue(room, { connection, entry: { who: unpackWho(connection, bytes)!, bytes }, announce });
  }

  leave(room: string, { connection }: OwnEntry, announce: boolean): void {
    this.#enqueue(room, { connection, entry: null, announce });
  }

  async list(room: string, limit: number, after: string | null = null): Promise<PresencePage> {
    this.#checkOpen();
    this.#flush();
    const known = this.#rooms.get(room);
    if (known === undefined) return { count: 0, users: 0, members: [], next: null };
    const { entries, users } = known;
    known.order ??= [...entries.keys()].sort();
    const from = after === null ? 0 : firstAfter(known.order, after);
    const page = known.order.slice(from, from + limit);
    const members = page.map((connection) => entries.get(connection)!.who);
    const next = from + page.length < known.order.length ? (page.at(-1) ?? after ?? '') : null;
    return { count: entries.size, users: users.size, members, next };
  }

  /** Changes are told where they are made, so none is on its way. */
  view(room: string, limit: number): Promise<PresencePage> {
    return this.list(room, limit);
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
    const known: Room = this.#rooms.get(room) ?? { entries: new Map(), order: null, users: new Map() };
    const { entries, users } = known;
    const changes: PresenceChange[] = [];
    for (const { connection, entry, announce } of updates) {
      const before = entries.get(connection);
      if (entry !== null) entries.set(connection, entry);
      else entries.delete(connection);
      if (entry !== null) countUser(users, entry.who.user, 1);
      if (before !== undefined) countUser(users, before.who.user, -1);
      const change = changeOf(before, entry);
      if (change === 'joined' || change === 'left') known.order = null;
      // As in Redis, the entry that leaves is the one that entered.
      const who = (entry ?? before)?.who;
      if (announce && change !== null && who !== undefined)
        changes.push({ change, who, count: entries.size });
    }
    if (entries.size === 0) this.#rooms.delete(room);
    else this.#rooms.set(room, known);
    return changes;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unavailable('presence', SHUTTING_DOWN);
  }
}

function changeOf(before: Entry | undefined, after: Entry | null): PresenceChange['change'] | null {
  if (before === undefined) return after === null ? null : 'joined';
  if (after === null) return 'left';
  return Buffer.compare(before.bytes, after.bytes) === 0 ? null : 'changed';
}

/** Where the first of sorted names that is greater than this one is, by halving. */
function firstAfter(sorted: readonly string[], name: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function countUser(users: Map<string, number>, user: string | null, by: number): void {
  if (user === null) return;
  const count = (users.get(user) ?? 0) + by;
  if (count > 0) users.set(user, count);
  else users.delete(user);
}
