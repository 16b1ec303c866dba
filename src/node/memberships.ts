import type { BackplaneError } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Request } from '../connection/services.ts';
import type { Hub } from '../hub/hub.ts';
import type { Position } from '../protocol/frames.ts';
import { USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Scheduler } from '../util/scheduler.ts';
import { type AckedReading, ackedIn } from './acks.ts';
import { Cursor, type CursorReply } from './cursor.ts';
import type { Cursors } from './cursors.ts';
import type { Feed } from './feed.ts';
import type { Feeds } from './feeds.ts';
import type { Presences } from './presences.ts';
import type { RoomRule } from './room-rule.ts';

/** How long a room stays subscribed after its last member left: those who reload a page find it warm. */
const ROOM_GRACE_MS = 5_000;
/** How long until a personal room that could not be opened is tried again. */
const PERSONAL_RETRY_MS = 1_000;

export interface MembershipsParts {
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  readonly cursors: Cursors;
  readonly presences: Presences;
  readonly acks: AckedReading;
  readonly rule: (room: string) => RoomRule;
  readonly roomsPerConnection: number;
  readonly scheduler: Scheduler;
}

/** Who joins and leaves: what a membership begins and ends on this node. */
export class Memberships {
  readonly #parts: MembershipsParts;
  /** Feeds of rooms without members. */
  readonly #idle = new Set<Feed>();

  constructor(parts: MembershipsParts) {
    this.#parts = parts;
  }

  join(request: Request, name: string, since: Position | null, resume: boolean): void {
    const { connection } = request;
    const refusal = this.#refusal(connection, name);
    if (refusal) return request.fail(refusal.code, refusal.message);
    const from = resume ? 'acked' : since;
    this.#enter(connection, name, from, (feed) => ({
      begun: (recovered, { since: asked, acked }) => {
        const { epoch, offset } = feed;
        request.ok({ epoch, offset, recovered: recovered && asked !== null, ...ackedIn(feed, acked) });
        connection.flushBeforeMessages();
      },
      failed: (error) => request.fail(error.code, error.message),
      abandoned: () =>
        request.fail('not_joined', 'the room was left or joined anew before this join was done'),
    }));
  }

  #refusal(
    connection: Connection,
    name: string,
  ): { code: 'forbidden' | 'limit_exceeded'; message: string } | null {
    const rule = this.#parts.rule(name);
    if (rule.join === 'nobody') return { code: 'forbidden', message: 'nobody may join this room' };
    if (rule.join === 'authenticated' && connection.identity === null) {
      return { code: 'forbidden', message: 'only authenticated users may join this room' };
    }
    const { roomsPerConnection } = this.#parts;
    const joined = connection.rooms.length - (connection.user === null ? 0 : 1);
    if (joined < roomsPerConnection || connection.rooms.includes(name)) return null;
    return { code: 'limit_exceeded', message: `a connection may be in at most ${roomsPerConnection} rooms` };
  }

  /** A member that joins again starts again from the position that it gives. */
  #enter(
    connection: Connection,
    name: string,
    from: Position | 'acked' | null,
    replyFor: (feed: Feed) => CursorReply,
  ): void {
    const { hub, feeds, acks, presences } = this.#parts;
    if (connection.rooms.includes(name)) this.#suspend(connection, name);
    else hub.enter(connection, name);
    const feed = feeds.open(hub.room(name)!);
    this.#idle.delete(feed);
    const reply = replyFor(feed);
    const begun = (recovered: boolean, cursor: Cursor) => {
      presences.joined(connection, feed);
      reply.begun(recovered, cursor);
    };
    const failed = (error: BackplaneError) => {
      this.left(connection, name);
      reply.failed(error);
    };
    const since = from === 'acked' ? null : from;
    const { abandoned } = reply;
    acks.startJoin(new Cursor(connection, feed, since, { begun, failed, abandoned }), from === 'acked');
  }

  /** A user's connections are in the user's personal room without joining. */
  enterPersonal(connection: Connection): void {
    if (connection.user === null || !connection.isOpen) return;
    this.#enter(connection, USER_ROOM_PREFIX + connection.user, null, () => ({
      begun: () => undefined,
      abandoned: () => undefined,
      // Nobody asked for it, so nobody is told: it is tried until the backplane is back.
      failed: () => {
        this.#parts.scheduler.after(PERSONAL_RETRY_MS, () => this.enterPersonal(connection));
      },
    }));
  }

  leave(request: Request, name: string): void {
    const { connection } = request;
    if (!connection.rooms.includes(name)) return request.fail('not_joined', 'not a member of this room');
    if (name.startsWith(USER_ROOM_PREFIX)) return request.fail('forbidden', 'a personal room is not left');
    this.left(connection, name);
    request.ok({});
  }

  /** Ends a membership, whatever state it is in. */
  left(connection: Connection, name: string): void {
    const { hub, presences, scheduler } = this.#parts;
    const feed = this.#suspend(connection, name);
    if (feed) presences.left(connection, feed);
    const room = hub.leave(connection, name);
    if (!room || room.members > 0) return;
    if (!feed) return hub.drop(room);
    feed.idleSinceMs = scheduler.nowMs();
    this.#idle.add(feed);
  }

  /** The connection is gone. */
  leftAll(connection: Connection): void {
    this.#parts.cursors.stopAll(connection);
    for (const name of connection.rooms) this.left(connection, name);
  }

  /** Takes a member off its room's topic; what it is on its way to, if anything, is forgotten. */
  #suspend(connection: Connection, name: string): Feed | undefined {
    const { hub, feeds, cursors } = this.#parts;
    const room = hub.room(name);
    const feed = feeds.get(name);
    if (room) connection.socket.unsubscribe(room.topic(connection.readsText));
    const cursor = feed && cursors.find(connection, feed);
    if (cursor) cursors.stop(cursor);
    cursor?.abandon();
    return feed;
  }

  /** A feed could not be opened, and is closed: the joins that wait for it fail, which ends their memberships. */
  feedFailed(feed: Feed, error: BackplaneError): void {
    this.#idle.delete(feed);
    for (const cursor of [...feed.cursors]) cursor.fail(error);
    this.#parts.hub.drop(feed.room);
    feed.opened();
  }

  /** Closes rooms that have been empty for a while. */
  closeIdle(): void {
    const before = this.#parts.scheduler.nowMs() - ROOM_GRACE_MS;
    for (const feed of this.#idle) {
      if (feed.idleSinceMs === null || feed.idleSinceMs > before) continue;
      this.#idle.delete(feed);
      this.#parts.feeds.close(feed);
      this.#parts.hub.drop(feed.room);
    }
  }
}
