import type { OwnEntry, Presence, PresenceChange } from '../../backplane/presence.ts';
import { packWho, unpackWho } from '../../backplane/presence-event.ts';
import type { RoomRule } from '../../config/room-rule.ts';
import type { Connection } from '../../connection/connection.ts';
import { overLimit } from '../../connection/over-limit.ts';
import type { JoinWish, MembersPageWish } from '../../connection/services.ts';
import type { Hub } from '../../hub/hub.ts';
import type { NodeMetrics } from '../../metrics/node-metrics.ts';
import type { MembersResult, MembersSnapshot, PackedValue } from '../../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import type { Logger } from '../../util/log.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { JoinFailure } from '../catch-up/cursor.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Feeds } from '../rooms/feeds.ts';
import { hearMembers } from '../rooms/topics.ts';
import { MemberData } from './member-data.ts';
import { MemberEvents } from './member-events.ts';
import type { RoomRights } from './room-rights.ts';
import { NOTHING_KNOWN, Rosters } from './rosters.ts';

/** What a list costs per entry: it is decoded and encoded, where a page of history is copied. */
export const ENTRY_COST = 512;

/** Bounds what one reader may have read for it; see `ReadGate`. */
export interface Gate {
  /** Settles as `read` does. Rejects with a `JoinFailure` if it does not start it. */
  run<T>(reader: Connection, read: () => Promise<{ readonly value: T; readonly bytes: number }>): Promise<T>;
}

export interface PresencesParts {
  readonly presence: Presence;
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  readonly gate: Gate;
  readonly rule: (room: string) => RoomRule;
  readonly rights: RoomRights;
  /** Maximum members in one answer. */
  readonly membersPage: number;
  /** Maximum bytes of a member's data. */
  readonly presenceBytes: number;
  /** Rooms with more members get counts instead of names. */
  readonly detailedMembers: number;
  /** Of changed data, that each member of a room is sent; 0: no limit. */
  readonly dataBytesPerSecond: number;
  /** Whether a connection is joining a room that it was not in before: it is entered when it has joined. */
  readonly isNew: (connection: Connection, room: string) => boolean;
  /** The lease was lost: the store may have lost more than that. */
  readonly leaseLost: () => void;
  readonly metrics: NodeMetrics;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** What a join asks of presence, or a member that sets its data. */
export type PresenceWish = Pick<JoinWish, 'data' | 'members'>;

/**
 * Who is in which room, on any node: enters and removes this node's members with what they bring, and tells
 * members about each other.
 */
export class Presences {
  readonly #parts: PresencesParts;
  readonly #data: MemberData;
  readonly #rosters: Rosters;
  readonly #events: MemberEvents;

  constructor(parts: PresencesParts) {
    const stats = parts.metrics.presence;
    this.#parts = parts;
    this.#rosters = new Rosters({
      ...parts,
      wasRead: (feed, roster) => this.#events.wasRead(feed, roster),
      toldAll: (feed, count) => this.#events.toldAll(feed, count),
    });
    this.#data = new MemberData({
      ...parts,
      write: (connection, feed) => {
        stats.written++;
        this.#enter(connection, feed);
      },
      merged: () => stats.merged++,
    });
    this.#events = new MemberEvents({
      ...parts,
      smallAgain: (feed) => this.#rosters.smallAgain(feed),
      version: (feed) => this.#rosters.version(feed),
      addedUp: (feed, since, count) => this.#rosters.addedUp(feed, since, count),
      told: (changes) => {
        stats.told += changes;
      },
      merged: () => stats.outrun++,
    });
  }

  /** Rejects with `BackplaneError`. */
  start(): Promise<void> {
    return this.#parts.presence.start({
      changed: (room, changes) => this.#changed(room, changes),
      leaseLost: () => this.#enterAll(),
    });
  }

  async close(): Promise<void> {
    this.#events.stop();
    this.#data.stop();
    await this.#parts.presence.close();
  }

  /** The backplane was away: changes in these rooms may have been missed. */
  resumed(has: (room: string) => boolean): void {
    void this.#rosters.resumed(has);
  }

  /** Changes in one room may have been missed. */
  missed(feed: Feed): void {
    void this.#rosters.missed(feed);
  }

  /** Called now and then. */
  checkSome(): void {
    void this.#rosters.retry();
  }

  // ---- this node's members ---------------------------------------------------------------------------------

  /** Why a room cannot do what is asked of it, or null. */
  refusal(room: string, { data, members }: PresenceWish): JoinFailure | null {
    if (data === null && !members) return null;
    if (!isKept(room, this.#parts.rule(room))) {
      return { code: 'bad_request', message: 'this room keeps no presence: set presence in its rule' };
    }
    const { presenceBytes } = this.#parts;
    if (data === null || data.length <= presenceBytes) return null;
    const what = `presence data of ${data.length} bytes as MessagePack is too large`;
    return overLimit('payload_too_large', what, 'limits.presenceBytes', presenceBytes, null);
  }

  /**
   * Enters a member, or enters it again with what is known of it now. `data`: what it brings; undefined: what
   * it has.
   */
  joined(connection: Connection, feed: Feed, data?: PackedValue | null): void {
    if (!isKept(feed.room.name, feed.rule)) return;
    if (data !== undefined) this.#data.bring(connection, feed, data);
    this.#enter(connection, feed);
  }

  #enter(connection: Connection, feed: Feed): void {
    this.#parts.presence.enter(feed.room.name, this.#entryOf(connection, feed), feed.rule.memberEvents);
  }

  /** Changes the data of a member. */
  set(connection: Connection, feed: Feed, data: PackedValue | null): void {
    this.#parts.metrics.presence.set++;
    this.#data.set(connection, feed, data);
  }

  /** Harmless for a connection that had not joined. */
  left(connection: Connection, feed: Feed): void {
    if (!isKept(feed.room.name, feed.rule)) return;
    this.#data.forget(connection, feed);
    this.#rosters.left(connection, feed);
    this.#parts.presence.leave(feed.room.name, this.#entryOf(connection, feed), feed.rule.memberEvents);
  }

  /** Nobody is in the room here any more. */
  forget(feed: Feed): void {
    this.#events.forget(feed);
    this.#rosters.forget(feed);
  }

  #entryOf(connection: Connection, feed: Feed): OwnEntry {
    const info = connection.identity?.info;
    const data = this.#data.get(connection, feed);
    return {
      connection: connection.id,
      user: connection.user,
      ...(info === undefined ? {} : { info }),
      ...(data === null ? {} : { data }),
    };
  }

  /** The store forgot this node: all of its members enter again. */
  #enterAll(): void {
    this.#parts.leaseLost();
    for (const connection of this.#parts.hub.connections()) {
      for (const name of connection.rooms) {
        const feed = this.#parts.feeds.get(name);
        if (feed && !this.#parts.isNew(connection, name)) this.joined(connection, feed);
      }
    }
  }

  // ---- who is there ----------------------------------------------------------------------------------------

  /** A page of who is in a room. Rejects with `BackplaneError`. */
  async list(room: string, { limit, after }: MembersPageWish): Promise<MembersResult> {
    const { presence, membersPage } = this.#parts;
    const page = await presence.list(room, Math.min(limit ?? membersPage, membersPage), after);
    const { count, users, members, next } = page;
    return { count, users, members, ...(next === null ? {} : { truncated: true, next }) };
  }

  /**
   * For a join that asks for the members: resolves with what answers it, to be called when the connection is
   * a member. Rejects with a `JoinFailure`. The feed must be open. Who leaves before its turn comes has nothing
   * read: the room may be closed by then, and nobody would forget its members.
   */
  ask(connection: Connection, feed: Feed): Promise<() => MembersSnapshot> {
    return this.#parts.gate.run(connection, async () => {
      if (!this.#isIn(connection, feed)) return { value: () => NOTHING_KNOWN, bytes: 0 };
      const source = await this.#rosters.ask(feed);
      const value = () => {
        this.#rosters.told(connection, feed);
        const entry = this.#entryOf(connection, feed);
        // As others see it. `packWho` made the bytes.
        const snapshot = source.snapshot(unpackWho(entry.connection, packWho(entry))!);
        feed.toldCount ??= snapshot.count;
        return snapshot;
      };
      return { value, bytes: source.size * ENTRY_COST };
    });
  }

  #isIn({ rooms }: Connection, feed: Feed): boolean {
    const { name } = feed.room;
    return rooms.includes(name) && this.#parts.feeds.get(name) === feed;
  }

  /**
   * The rights of a member have changed. Where it may not know the members any more, its list is taken back
   * and it is told of none of them; where it may not bring data, what it brought is gone.
   */
  reconsider(connection: Connection, feed: Feed, isLive: boolean): void {
    const { rights } = this.#parts;
    const { name } = feed.room;
    const hears = this.hearsMembers(connection, feed);
    if (!hears && this.#rosters.left(connection, feed)) connection.push(['members', name, NOTHING_KNOWN]);
    if (isLive && feed.hasMemberEvents) hearMembers(connection, feed, hears);
    if (this.#data.get(connection, feed) === null || rights.may('presence', name, connection)) return;
    this.#data.set(connection, feed, null);
  }

  /** Whether a member is told of the others. */
  hearsMembers(connection: Connection, { room }: Feed): boolean {
    return this.#parts.rights.may('members', room.name, connection);
  }

  /** The member is on its topic from now on. */
  wentLive(connection: Connection, feed: Feed): void {
    this.#rosters.wentLive(connection, feed);
  }

  #changed(room: string, changes: readonly PresenceChange[]): void {
    const feed = this.#parts.feeds.get(room);
    if (!feed?.rule.memberEvents || feed.isOpening) return;
    for (const change of changes) {
      const isNamed = this.#events.add(feed, change);
      this.#rosters.apply(feed, change, isNamed);
    }
    this.#events.flush();
  }
}

/** Personal rooms exist to reach a user, and show no members. */
function isKept(room: string, { presence }: RoomRule): boolean {
  return presence && !room.startsWith(USER_ROOM_PREFIX);
}
