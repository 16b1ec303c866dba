import type { Presence, PresenceChange, PresenceEntry } from '../../backplane/presence.ts';
import type { Connection } from '../../connection/connection.ts';
import type { Hub } from '../../hub/hub.ts';
import type { MembersResult } from '../../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import type { Logger } from '../../util/log.ts';
import type { Scheduler, Timer } from '../../util/scheduler.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Feeds } from '../rooms/feeds.ts';

/** How long changes of a large room are collected into one push. */
const COALESCE_MS = 1_000;

export interface PresencesParts {
  readonly presence: Presence;
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  /** Maximum members in one answer. */
  readonly membersPage: number;
  /** Rooms with more members get counts instead of names. */
  readonly detailedMembers: number;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** How a large room has changed since its members were last told. */
interface Summary {
  before: number;
  count: number;
}

/**
 * Who is in which room, on any node: enters and removes this node's members, and tells members about each
 * other.
 */
export class Presences {
  readonly #parts: PresencesParts;
  readonly #summaries = new Map<Feed, Summary>();
  #timer: Timer | null = null;

  constructor(parts: PresencesParts) {
    this.#parts = parts;
  }

  /** Rejects with `BackplaneError`. */
  start(): Promise<void> {
    return this.#parts.presence.start({
      changed: (room, changes) => this.#changed(room, changes),
      leaseLost: () => this.#enterAll(),
    });
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#parts.presence.close();
  }

  joined(connection: Connection, feed: Feed): void {
    if (!isKept(feed)) return;
    this.#parts.presence.enter(feed.room.name, entryOf(connection), feed.rule.memberEvents);
  }

  /** Harmless for a connection that had not joined. */
  left(connection: Connection, feed: Feed): void {
    if (!isKept(feed)) return;
    this.#parts.presence.leave(feed.room.name, entryOf(connection), feed.rule.memberEvents);
  }

  /** The store forgot this node: all of its members enter again. */
  #enterAll(): void {
    this.#parts.log.warn({}, 'lost the presence lease: entering all members again');
    for (const connection of this.#parts.hub.connections()) {
      for (const name of connection.rooms) {
        const feed = this.#parts.feeds.get(name);
        if (feed) this.joined(connection, feed);
      }
    }
  }

  /** Who is in a room. Rejects with `BackplaneError`. */
  async list(room: string): Promise<MembersResult> {
    const { count, users, members, truncated } = await this.#parts.presence.list(
      room,
      this.#parts.membersPage,
    );
    return { count, users, members, ...(truncated ? { truncated } : {}) };
  }

  #changed(room: string, changes: readonly PresenceChange[]): void {
    const feed = this.#parts.feeds.get(room);
    if (!feed?.rule.memberEvents || feed.isOpening) return;
    for (const { change, who, count } of changes) {
      if (count > this.#parts.detailedMembers || this.#summaries.has(feed))
        this.#summarise(feed, change, count);
      else feed.push(['member', room, change, who, count]);
    }
  }

  #summarise(feed: Feed, change: PresenceChange['change'], count: number): void {
    const known = this.#summaries.get(feed);
    if (known) known.count = count;
    else this.#summaries.set(feed, { before: change === 'joined' ? count - 1 : count + 1, count });
    this.#timer ??= this.#parts.scheduler.every(COALESCE_MS, () => this.#tellSummaries());
  }

  #tellSummaries(): void {
    for (const [feed, { before, count }] of this.#summaries) {
      if (count !== before) {
        feed.push(['member', feed.room.name, count > before ? 'joined' : 'left', null, count]);
      }
    }
    this.#summaries.clear();
  }
}

/** Personal rooms exist to reach a user, and show no members. */
function isKept({ rule, room }: Feed): boolean {
  return rule.presence && !room.name.startsWith(USER_ROOM_PREFIX);
}

function entryOf(connection: Connection): PresenceEntry {
  const info = connection.identity?.info;
  return { connection: connection.id, user: connection.user, ...(info === undefined ? {} : { info }) };
}
