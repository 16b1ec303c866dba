import { PLAIN_JOIN, type Refusal } from '../../auth/authorize.ts';
import type { BackplaneError } from '../../backplane/backplane.ts';
import type { Connection } from '../../connection/connection.ts';
import { overLimit } from '../../connection/over-limit.ts';
import type { JoinWish, Request } from '../../connection/services.ts';
import type { Hub } from '../../hub/hub.ts';
import type { Room } from '../../hub/room.ts';
import type { PackedValue, PublishCommand } from '../../protocol/frames.ts';
import { RESERVED_PREFIX, USER_ROOM_PREFIX } from '../../protocol/limits.ts';
import type { Scheduler } from '../../util/scheduler.ts';
import type { CatchUp } from '../catch-up/catch-up.ts';
import type { JoinFailure } from '../catch-up/cursor.ts';
import type { Feed } from '../rooms/feed.ts';
import type { Feeds } from '../rooms/feeds.ts';
import { leaveTopics } from '../rooms/topics.ts';
import type { AckedReading } from './acked-reading.ts';
import { Join, type JoinActions, type JoinReply } from './join.ts';
import { PlacedJoin, RequestedJoin, UNASKED } from './join-replies.ts';
import { Joins } from './joins.ts';
import type { Presences } from './presences.ts';
import type { RoomRights } from './room-rights.ts';

/** How long a room stays subscribed after its last member left, so that a page reload finds it warm. */
const ROOM_GRACE_MS = 5_000;
/** How long until a personal room that could not be opened is tried again. */
const PERSONAL_RETRY_MS = 1_000;

export interface MembershipsParts {
  readonly hub: Hub<Connection>;
  readonly feeds: Feeds;
  readonly catchUp: CatchUp;
  readonly presences: Presences;
  readonly acks: AckedReading;
  /** Where messages go that waited for a join. */
  readonly publishing: { fromConnection(connection: Connection, command: PublishCommand): void };
  readonly rights: RoomRights;
  readonly roomsPerConnection: number;
  /** Most messages that a join has replayed because it said `last`. */
  readonly lastMessages: number;
  readonly scheduler: Scheduler;
}

const NO_WISH: JoinWish = { since: null, resume: false, last: null, data: null, members: false };

/** Who joins and leaves: what a membership starts and ends on this node. */
export class Memberships implements JoinActions {
  readonly #parts: MembershipsParts;
  readonly #joins = new Joins();
  /** Feeds of rooms without members. */
  readonly #idle = new Set<Feed>();

  constructor(parts: MembershipsParts) {
    this.#parts = parts;
  }

  // ---- joins -----------------------------------------------------------------------------------------------

  join(request: Request, name: string, wish: JoinWish): void {
    const { connection } = request;
    const refusal = this.#parts.presences.refusal(name, wish);
    if (refusal !== null) return request.fail(refusal.code, refusal.message, refusal.details);
    if (!this.#hasPlace(connection, name)) {
      const { roomsPerConnection } = this.#parts;
      const what = 'this connection is in as many rooms as it may be: leave one first';
      const over = overLimit('limit_exceeded', what, 'limits.roomsPerConnection', roomsPerConnection, null);
      return request.fail(over.code, over.message, over.details);
    }
    this.#enter(connection, name, wish, new RequestedJoin(request));
  }

  #hasPlace({ rooms, user }: Connection, name: string): boolean {
    // The personal room of a user does not count.
    const joined = rooms.length - (user === null ? 0 : 1);
    return joined < this.#parts.roomsPerConnection || rooms.includes(name);
  }

  /** The server API puts a connection into a room, as if it had joined. Where it may not join, nothing happens. */
  place(connection: Connection, name: string): void {
    // A browser keeps one position for a stream: that of another room would take its place.
    if (connection.encoding === 'sse') return;
    if (!connection.isOpen || connection.rooms.includes(name) || !this.#hasPlace(connection, name)) return;
    if (!this.#parts.rights.may('join', name, connection)) return;
    this.#enter(connection, name, NO_WISH, new PlacedJoin(connection, name));
  }

  /** A user's connections are in the user's personal room without joining. */
  enterPersonal(connection: Connection): void {
    if (connection.user === null || !connection.isOpen) return;
    const name = USER_ROOM_PREFIX + connection.user;
    // The client joined it meanwhile, and knows where it stands.
    if (connection.rooms.includes(name)) return;
    this.#enter(connection, name, NO_WISH, UNASKED);
  }

  /**
   * An event stream is not in its user's personal room. It is subscribed all the same, which is how other nodes
   * see where a user is.
   */
  hearPersonal({ user }: Connection): void {
    if (user === null) return;
    const { hub, feeds } = this.#parts;
    const room = hub.open(USER_ROOM_PREFIX + user);
    if (room.members === 0) this.#empty(room, feeds.open(room));
  }

  /** A member that joins again starts over from the position that it gives. */
  #enter(connection: Connection, name: string, wish: JoinWish, reply: JoinReply): void {
    const { hub, feeds } = this.#parts;
    const before = this.#joins.find(connection, name);
    const isIn = connection.rooms.includes(name);
    if (isIn) this.#suspend(connection, name);
    else hub.enter(connection, name);
    const feed = feeds.open(hub.room(name)!);
    this.#idle.delete(feed);
    const { since, resume } = wish;
    const last = wish.last === null ? null : Math.min(wish.last, this.#parts.lastMessages);
    const user = reply === UNASKED ? null : connection.user;
    const join = new Join(connection, feed, resume ? 'acked' : since, last, reply, this);
    // The command's bytes are valid during this call.
    join.data = wish.data === null ? before?.data : new Uint8Array(wish.data);
    join.wish = { last, resume, members: wish.members };
    join.isFirst = before?.isFirst ?? !isIn;
    // The positions of who comes back are never refused: it hears what it misses as a gap.
    join.cursor.isCut = since !== null && !this.#parts.rights.may('history', name, connection);
    this.#begin(join, wish, user);
    // What waited for the join before this one waits for this one now.
    for (const command of before?.takeHeld() ?? []) this.publishHeld(connection, command);
  }

  /** `asker`: the user who is told what it has acknowledged, where that is kept. */
  #begin(join: Join, { resume, members }: JoinWish, asker: string | null): void {
    const { feed } = join;
    const { acks, catchUp, rights } = this.#parts;
    const { name } = feed.room;
    const isTold = asker !== null && acks.isKeptIn(name) && rights.may('ack', name, join.connection);
    const user = isTold ? asker : null;
    if (feed.isOpening || user !== null || members) {
      this.#joins.add(join);
      catchUp.add(join.cursor);
    }
    if (feed.isOpening) feed.whenOpened(join);
    join.begin({ feed: feed.isOpening, acked: user !== null, members });
    if (members) this.#lookUpMembers(join);
    if (user === null) return;
    const known = resume
      ? acks.start(feed.room.name, user).then((start) => join.startKnown(start))
      : acks.lookUp(feed.room.name, user).then((acked) => join.ackedKnown(acked));
    known.catch((error: BackplaneError) => join.lookUpFailed(error));
  }

  #lookUpMembers(join: Join): void {
    const { feed, connection } = join;
    const lookUp = () =>
      this.#parts.presences.ask(connection, feed).then(
        (members) => join.membersKnown(members),
        (error: JoinFailure) => join.lookUpFailed(error),
      );
    if (!feed.isOpening) return void lookUp();
    // The join may be over by then: the feed could not be opened, or the connection left or joined again.
    feed.whenOpened({ feedOpened: () => join.state === 'waiting' && void lookUp() });
  }

  start(join: Join): void {
    this.#parts.catchUp.start(join.cursor);
    // The messages that it is missing must be read first.
    if (join.state === 'started') this.#joins.add(join);
  }

  joined(join: Join): void {
    this.#joins.remove(join);
    this.#parts.presences.joined(join.connection, join.feed, join.data);
  }

  failed(join: Join): void {
    this.#joins.remove(join);
    this.#parts.catchUp.stop(join.cursor);
    const { connection, feed } = join;
    this.left(connection, feed.room.name);
    if (feed.room.name.startsWith(USER_ROOM_PREFIX)) this.#returnToPersonal(connection, feed);
  }

  /** Whether nobody knows of the member yet: it is entered when it has joined. */
  isNew(connection: Connection, name: string): boolean {
    return this.#joins.find(connection, name)?.isFirst === true;
  }

  /** Its user is to be in it, whoever asked for the join that failed. */
  #returnToPersonal(connection: Connection, { room }: Feed): void {
    const feed = this.#parts.feeds.get(room.name);
    // What could not be read does not matter to who only wants what follows.
    if (feed !== undefined && !feed.isOpening) return this.enterPersonal(connection);
    // It is tried until the backplane is back.
    this.#parts.scheduler.after(PERSONAL_RETRY_MS, () => this.enterPersonal(connection));
  }

  /** Sets the presence data of a member, or of one that is joining. */
  setData(request: Request, name: string, data: PackedValue | null): void {
    const { presences, feeds } = this.#parts;
    const refusal = presences.refusal(name, { data, members: true });
    if (refusal !== null) return request.fail(refusal.code, refusal.message, refusal.details);
    // The command's bytes are valid during this call.
    const kept = data === null ? null : new Uint8Array(data);
    const join = this.#joins.find(request.connection, name);
    const feed = feeds.get(name);
    if (join !== null) join.data = kept;
    else if (feed !== undefined) presences.set(request.connection, feed, kept);
    request.ok({});
  }

  /** Publishes a message, if needed after the connection's join of its room has started. */
  publish(connection: Connection, command: PublishCommand): void {
    if (this.#joins.hold(connection, command)) return;
    this.#parts.publishing.fromConnection(connection, command);
  }

  /**
   * Checks the permission again: the join that it waited for may have failed, and the token may have been
   * replaced.
   */
  publishHeld(connection: Connection, command: PublishCommand): void {
    const { room, id } = command;
    const refusal = this.#parts.rights.refusal('publish', room, connection);
    if (refusal === null) this.publish(connection, command);
    else connection.refuse(id, refusal);
  }

  // ---- leaves ----------------------------------------------------------------------------------------------

  leave(request: Request, name: string): void {
    const { connection } = request;
    if (!connection.rooms.includes(name))
      return request.fail('not_joined', 'this connection is not in this room');
    this.left(connection, name);
    request.ok({});
  }

  /**
   * The connection has a new identity: removes it from rooms that the identity may not join, or not in the way
   * that a join in progress asks for, and takes from it what else it may not have any more. `looksOther`: members
   * of the other rooms must see the new identity.
   */
  reconsider(connection: Connection, looksOther: boolean): void {
    for (const name of connection.rooms) {
      // The node put the connection into these.
      if (name.startsWith(RESERVED_PREFIX)) continue;
      const asks = this.#joins.find(connection, name)?.asks ?? PLAIN_JOIN;
      const refusal = this.#parts.rights.joinRefusal(name, asks, connection);
      if (refusal !== null) {
        this.remove(connection, name, refusal);
        continue;
      }
      this.#reconsiderMember(connection, name);
      if (looksOther) this.#showAnew(connection, name);
    }
  }

  #reconsiderMember(connection: Connection, name: string): void {
    const { feeds, catchUp, presences, rights } = this.#parts;
    const feed = feeds.get(name);
    if (feed === undefined) return;
    const isLive = this.#joins.find(connection, name) === null && catchUp.find(connection, feed) === null;
    presences.reconsider(connection, feed, isLive);
    if (!isLive && !rights.may('history', name, connection)) catchUp.cut(connection, feed);
  }

  #showAnew(connection: Connection, name: string): void {
    const { feeds, presences } = this.#parts;
    const feed = feeds.get(name);
    // A connection that is still joining is entered when it has joined.
    if (feed && this.#joins.find(connection, name) === null) presences.joined(connection, feed);
  }

  /** Ends a membership, or a join in progress, and tells the client. */
  remove(connection: Connection, name: string, refusal: Refusal): void {
    const join = this.#joins.find(connection, name);
    const held = join?.takeHeld() ?? [];
    const { code, message, retryAfterMs } = refusal;
    join?.failed({ code, message, ...(retryAfterMs !== undefined && { details: { retryAfterMs } }) });
    this.left(connection, name);
    connection.push(['removed', name, message]);
    for (const command of held) this.publishHeld(connection, command);
  }

  /** Ends a membership in any state; harmless if there is none. */
  left(connection: Connection, name: string): void {
    const join = this.#joins.find(connection, name);
    this.#suspend(connection, name);
    const feed = this.#parts.feeds.get(name);
    if (feed) this.#parts.presences.left(connection, feed);
    const room = this.#parts.hub.leave(connection, name);
    if (room?.members === 0) this.#empty(room, feed);
    for (const command of join?.takeHeld() ?? []) this.publishHeld(connection, command);
  }

  /** A room has no members any more. */
  #empty(room: Room, feed: Feed | undefined): void {
    if (!feed) return this.#parts.hub.drop(room);
    feed.idleSinceMs = this.#parts.scheduler.nowMs();
    this.#idle.add(feed);
  }

  /** The connection is gone. */
  leftAll(connection: Connection): void {
    for (const name of connection.rooms) this.left(connection, name);
  }

  /** Takes a member off its room's topic and abandons its join or cursor, if any. */
  #suspend(connection: Connection, name: string): void {
    const { hub, feeds, catchUp } = this.#parts;
    const room = hub.room(name);
    const feed = feeds.get(name);
    if (room) leaveTopics(connection, room, feed);
    const cursor = feed && catchUp.find(connection, feed);
    if (cursor) catchUp.stop(cursor);
    const join = this.#joins.find(connection, name);
    if (join === null) return;
    // Its cursor may belong to a feed that is closed by now.
    catchUp.stop(join.cursor);
    this.#joins.remove(join);
    join.abandon();
  }

  /** Closes rooms that have been empty for a while. */
  closeIdle(): void {
    const { feeds, hub, presences, scheduler } = this.#parts;
    const before = scheduler.nowMs() - ROOM_GRACE_MS;
    for (const feed of this.#idle) {
      if (feed.idleSinceMs === null || feed.idleSinceMs > before) continue;
      if (this.#stays(feed)) continue;
      this.#idle.delete(feed);
      feeds.close(feed);
      presences.forget(feed);
      // The room may be open again, after a feed of it failed.
      if (feeds.get(feed.room.name) === undefined) hub.drop(feed.room);
    }
  }

  /** Whether an empty room stays open: the personal room of a user who has an event stream here. */
  #stays(feed: Feed): boolean {
    const { hub, feeds } = this.#parts;
    const { room } = feed;
    if (!room.name.startsWith(USER_ROOM_PREFIX)) return false;
    if (!hub.hasUser(room.name.slice(USER_ROOM_PREFIX.length))) return false;
    if (feeds.get(room.name) !== undefined) return feeds.get(room.name) === feed;
    // It could not be opened.
    this.#idle.delete(feed);
    this.#empty(room, feeds.open(room));
    return true;
  }
}
