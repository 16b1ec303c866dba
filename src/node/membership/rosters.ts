import type { Presence, PresenceChange, PresenceEntry } from '../../backplane/presence.ts';
import type { Connection } from '../../connection/connection.ts';
import type { MembersSnapshot } from '../../protocol/frames.ts';
import type { Logger } from '../../util/log.ts';
import type { Feed } from '../rooms/feed.ts';
import { Roster } from './roster.ts';

/** Rooms that are read at once after the links were lost: others have reads to make too. */
const READ_AT_ONCE = 50;

export interface RostersParts {
  readonly presence: Presence;
  /** A larger room has no roster. */
  readonly detailedMembers: number;
  /** A room was read: what still waits to be told of its members may be older. */
  wasRead(feed: Feed, roster: Roster): void;
  /** All members of a room are told who, or how many, are there: no change waits to be told any more. */
  toldAll(feed: Feed, count: number): void;
  readonly log: Logger;
}

/** Who is in a room, at the moment of asking. */
export interface MembersSource {
  /** Entries that a snapshot holds. */
  readonly size: number;
  /** `self`: the member that asks, as it is now. */
  snapshot(self: PresenceEntry): MembersSnapshot;
}

/** A room with member events that somebody has asked for its members. */
interface Watched {
  readonly feed: Feed;
  /** Null: not known, or too large. */
  roster: Roster | null;
  isLarge: boolean;
  /** Of a room without a roster, when it was last read. */
  counts: { readonly count: number; readonly users: number };
  /** Counts the changes. */
  version: number;
  /** Members that asked, with the version that they were told. */
  readonly watchers: Map<Connection, number>;
  reading: Promise<void> | null;
  /** Told since the read began. */
  late: PresenceChange[];
  /** What the read in progress misses must be read after it. */
  mustReadAgain: boolean;
  /** Members must be told if the next read finds anything else. */
  isInDoubt: boolean;
}

/**
 * What this node knows of who is in a room, for members that join with `members: true`. A room is read once,
 * and kept up to date by the changes that its members are told as well. So a snapshot costs no read, and what
 * is told after it continues from it. When changes were missed, which their counts show and a lost link makes
 * likely, the room is read again, and if something else is found, members get it as a whole.
 */
export class Rosters {
  readonly #parts: RostersParts;
  readonly #watched = new Map<Feed, Watched>();
  /** Rooms whose last read failed, the one that failed last at the end: until one succeeds their members have a list that may be wrong. */
  readonly #unread = new Set<Watched>();

  constructor(parts: RostersParts) {
    this.#parts = parts;
  }

  /** The feed must be open, and have members until `forget`. Rejects with `BackplaneError`. */
  async ask(feed: Feed): Promise<MembersSource> {
    if (!feed.rule.memberEvents) return this.#readOnce(feed);
    const watched = this.#watch(feed);
    if (watched.roster === null) await this.#read(watched);
    return {
      size: watched.roster?.size ?? 0,
      snapshot: (self) => watched.roster?.snapshot(self) ?? countsOf(watched),
    };
  }

  /** Nothing follows a snapshot where members hear no events: it is as old as the read. */
  async #readOnce({ room }: Feed): Promise<MembersSource> {
    const { presence, detailedMembers } = this.#parts;
    const { count, users, members, next } = await presence.list(room.name, detailedMembers);
    if (next !== null) return { size: 0, snapshot: () => ({ count, users, ...PARTIAL }) };
    return { size: members.length, snapshot: (self) => new Roster(members).snapshot(self) };
  }

  #watch(feed: Feed): Watched {
    let watched = this.#watched.get(feed);
    if (watched === undefined) {
      watched = {
        feed,
        roster: null,
        isLarge: false,
        counts: { count: 0, users: 0 },
        version: 0,
        watchers: new Map(),
        reading: null,
        late: [],
        mustReadAgain: false,
        isInDoubt: false,
      };
      this.#watched.set(feed, watched);
    }
    return watched;
  }

  // ---- who follows the changes -----------------------------------------------------------------------------

  /** The member was given a snapshot right now. */
  told(connection: Connection, feed: Feed): void {
    const watched = this.#watched.get(feed);
    watched?.watchers.set(connection, watched.version);
  }

  /** Returns whether it had a snapshot. */
  left(connection: Connection, feed: Feed): boolean {
    return this.#watched.get(feed)?.watchers.delete(connection) === true;
  }

  /** Nobody is in the room here any more. */
  forget(feed: Feed): void {
    const watched = this.#watched.get(feed);
    if (watched !== undefined) this.#unread.delete(watched);
    this.#watched.delete(feed);
  }

  /** The member is on its topic from now on, and missed what was told while it was not. */
  wentLive(connection: Connection, feed: Feed): void {
    const watched = this.#watched.get(feed);
    const knows = watched?.watchers.get(connection);
    if (watched === undefined || knows === undefined || knows === watched.version) return;
    const snapshot = snapshotOf(watched);
    // Not known now: the read that finds it out tells all members.
    if (snapshot === null) return;
    connection.push(['members', feed.room.name, snapshot]);
    connection.flushBeforeMessages();
    watched.watchers.set(connection, watched.version);
  }

  version(feed: Feed): number {
    return this.#watched.get(feed)?.version ?? 0;
  }

  /** The count is what it was at this version, so that most members need not be told. Who comes back to a large room at once is not one of them. */
  addedUp(feed: Feed, since: number, count: number): void {
    const watched = this.#watched.get(feed);
    for (const [connection, knows] of watched?.watchers ?? []) {
      if (knows < since || knows === watched?.version) continue;
      connection.push(['member', feed.room.name, 'joined', null, count]);
      connection.flushBeforeMessages();
    }
  }

  // ---- what changes ----------------------------------------------------------------------------------------

  /** `isNamed`: members are told of this change by name. Else the room is too large for that. */
  apply(feed: Feed, change: PresenceChange, isNamed: boolean): void {
    const watched = this.#watched.get(feed);
    if (watched === undefined) return;
    watched.version++;
    if (watched.reading !== null) watched.late.push(change);
    if (!isNamed) return this.#grewTooLarge(watched, change.count);
    if (watched.roster === null) return this.#readIfNeeded(watched);
    watched.roster.apply(change);
    if (watched.roster.size !== change.count) void this.#doubt(watched);
  }

  #grewTooLarge(watched: Watched, count: number): void {
    watched.roster = null;
    watched.isLarge = true;
    watched.counts = { ...watched.counts, count };
  }

  /** Members are named again in a room that was too large. Somebody may have asked for them already: the others have no list yet. */
  smallAgain(feed: Feed): void {
    const watched = this.#watched.get(feed);
    if (watched === undefined) return;
    if (watched.roster === null) this.#readIfNeeded(watched);
    else this.#tellAll(watched);
  }

  #readIfNeeded(watched: Watched): void {
    if (watched.isLarge || watched.isInDoubt) void this.#doubt(watched);
  }

  /** Changes may have been missed in these rooms. Never rejects. */
  async resumed(has: (room: string) => boolean): Promise<void> {
    const all = [...this.#watched.values()].filter(
      (watched) => isKept(watched) && has(watched.feed.room.name),
    );
    for (let at = 0; at < all.length; at += READ_AT_ONCE) {
      await Promise.all(all.slice(at, at + READ_AT_ONCE).map((watched) => this.#doubt(watched)));
    }
  }

  /** The same in one room. Never rejects. */
  async missed(feed: Feed): Promise<void> {
    const watched = this.#watched.get(feed);
    if (watched !== undefined && isKept(watched)) await this.#doubt(watched);
  }

  /** Reads again what could not be read: for long nobody may ask, and nothing change. Called now and then; never rejects. */
  async retry(): Promise<void> {
    const unread = [...this.#unread].slice(0, READ_AT_ONCE).filter(({ reading }) => reading === null);
    await Promise.all(unread.map((watched) => this.#doubt(watched)));
  }

  /** Reads a room again, and tells its members if that finds anything else. Never rejects. */
  async #doubt(watched: Watched): Promise<void> {
    watched.isInDoubt = true;
    if (watched.reading !== null) watched.mustReadAgain = true;
    try {
      await this.#read(watched);
    } catch (error) {
      // Whoever asks next, the next change, or `retry` makes the node try again.
      this.#parts.log.debug({ error }, 'cannot read the members of a room yet');
    }
  }

  // ---- reading ---------------------------------------------------------------------------------------------

  /** One read at a time for each room. Rejects with `BackplaneError`. */
  #read(watched: Watched): Promise<void> {
    watched.reading ??= this.#readAll(watched).finally(() => {
      watched.reading = null;
      watched.late = [];
    });
    return watched.reading;
  }

  async #readAll(watched: Watched): Promise<void> {
    const before = watched.roster;
    let isNews = false;
    do {
      watched.mustReadAgain = false;
      watched.late = [];
      try {
        isNews = (await this.#readOn(watched)) || isNews;
      } catch (error) {
        watched.roster = null;
        // What an earlier read found was told to nobody.
        watched.isLarge = false;
        watched.isInDoubt = true;
        this.#readLater(watched);
        throw error;
      }
    } while (watched.mustReadAgain);
    const { feed, roster, isInDoubt } = watched;
    watched.isInDoubt = false;
    this.#unread.delete(watched);
    if (roster !== null) this.#parts.wasRead(feed, roster);
    if (roster === null ? !isNews : before !== null && roster.isSameAs(before)) return;
    if (isInDoubt) this.#tellAll(watched);
    else watched.version++;
  }

  #tellAll(watched: Watched): void {
    const { feed } = watched;
    watched.version++;
    const snapshot = watched.roster?.snapshot(null) ?? countsOf(watched);
    feed.push(['members', feed.room.name, snapshot]);
    this.#parts.toldAll(feed, snapshot.count);
  }

  /** Its turn is after all others: part of Redis may be away for long. */
  #readLater(watched: Watched): void {
    this.#unread.delete(watched);
    if (this.#watched.get(watched.feed) === watched) this.#unread.add(watched);
  }

  /** Resolves with whether members know something else of a large room than that it has so many. */
  async #readOn(watched: Watched): Promise<boolean> {
    const { presence, detailedMembers } = this.#parts;
    const page = await presence.view(watched.feed.room.name, detailedMembers);
    const roster = new Roster(page.members);
    for (const change of watched.late) roster.apply(change);
    const count = watched.late.at(-1)?.count ?? page.count;
    const isLarge = page.next !== null || count > detailedMembers;
    const isWrong = watched.isLarge && (!isLarge || watched.counts.count !== count);
    if (isWrong) watched.isInDoubt = true;
    const isNews = isWrong || !watched.isLarge;
    watched.isLarge = isLarge;
    watched.roster = isLarge ? null : roster;
    watched.counts = { count, users: page.users };
    return isNews;
  }
}

/** Whether anybody has, or is about to have, what a read found. */
function isKept({ roster, isLarge, reading, isInDoubt }: Watched): boolean {
  return roster !== null || isLarge || reading !== null || isInDoubt;
}

/** What members that asked are told now; null: not known. */
function snapshotOf(watched: Watched): MembersSnapshot | null {
  return watched.roster?.snapshot(null) ?? (watched.isLarge ? countsOf(watched) : null);
}

function countsOf({ counts }: Watched): MembersSnapshot {
  return { ...counts, ...PARTIAL };
}

/** Told to a member that may no longer know who is in the room. */
export const NOTHING_KNOWN: MembersSnapshot = { count: 0, users: 0, members: [], partial: true };

const PARTIAL = { members: [], partial: true } as const;
