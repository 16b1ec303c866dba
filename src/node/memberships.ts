import { authorize, type Refusal } from '../auth/authorize.ts';
import type { BackplaneError } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Request } from '../connection/services.ts';
import type { Hub } from '../hub/hub.ts';
import type { Position } from '../protocol/frames.ts';
import { RESERVED_PREFIX, USER_ROOM_PREFIX } from '../protocol/limits.ts';
import type { Clock } from '../util/clock.ts';
import { type AckedReading, ackedIn } from './acks.ts';
import { Cursor, type CursorReply, type JoinFailure } from './cursor.ts';
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
  readonly clock: Clock;
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
    const { roomsPerConnection } = this.#parts;
    if (!this.#hasPlace(connection, name)) {
      const message = `a connection may be in at most ${roomsPerConnection} rooms`;
      return request.fail('limit_exceeded', message);
    }
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

  #hasPlace({ rooms, user }: Connection, name: string): boolean {
    // The personal room of a user does not count.
    const joined = rooms.length - (user === null ? 0 : 1);
    return joined < this.#parts.roomsPerConnection || rooms.includes(name);
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
    const failed = (error: JoinFailure) => {
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
        setTimeout(() => this.enterPersonal(connection), PERSONAL_RETRY_MS).unref();
      },
    }));
  }

  leave(request: Request, name: string): void {
    const { connection } = request;
    if (!connection.rooms.includes(name)) return request.fail('not_joined', 'not a member of this room');
    this.left(connection, name);
    request.ok({});
  }

  /**
   * The connection has a new identity: it is taken out of rooms that this one may not join. `looksOther`: members of the
   * others are to see who it is now.
   */
  reconsider(connection: Connection, looksOther: boolean): void {
    const { rule } = this.#parts;
    for (const name of connection.rooms) {
      // Into these it was put by the node.
      if (name.startsWith(RESERVED_PREFIX)) continue;
      const refusal = authorize('join', name, connection, rule(name));
      if (refusal !== null) this.#remove(connection, name, refusal);
      else if (looksOther) this.#showAnew(connection, name);
    }
  }

  #showAnew(connection: Connection, name: string): void {
    const { feeds, cursors, presences } = this.#parts;
    const feed = feeds.get(name);
    // One that is still joining is entered when it has joined.
    if (feed && cursors.find(connection, feed)?.hasReplied !== false) presences.joined(connection, feed);
  }

  /** Ends a membership, or a join on its way to one, and tells the client. */
  #remove(connection: Connection, name: string, refusal: Refusal): void {
    const { feeds, cursors } = this.#parts;
    const feed = feeds.get(name);
    if (feed) cursors.find(connection, feed)?.fail(refusal);
    this.left(connection, name);
    connection.push(['removed', name, refusal.message]);
  }

  /** Ends a membership, whatever state it is in; harmless where there is none. */
  left(connection: Connection, name: string): void {
    const { hub, presences, clock } = this.#parts;
    const feed = this.#suspend(connection, name);
    if (feed) presences.left(connection, feed);
    const room = hub.leave(connection, name);
    if (!room || room.members > 0) return;
    if (!feed) return hub.drop(room);
    feed.idleSinceMs = clock.nowMs();
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
    const before = this.#parts.clock.nowMs() - ROOM_GRACE_MS;
    for (const feed of this.#idle) {
      if (feed.idleSinceMs === null || feed.idleSinceMs > before) continue;
      this.#idle.delete(feed);
      this.#parts.feeds.close(feed);
      this.#parts.hub.drop(feed.room);
    }
  }
}
