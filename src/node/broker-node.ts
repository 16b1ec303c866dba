import type { Identity } from '../auth/identity.ts';
import type { AckPage } from '../backplane/acks.ts';
import { type Backplane, BackplaneError, type BackplaneStatus } from '../backplane/backplane.ts';
import type { RoomsPage } from '../backplane/presence.ts';
import type { Connection } from '../connection/connection.ts';
import type { Outboxes } from '../connection/outboxes.ts';
import type { Request, RoomServices } from '../connection/services.ts';
import type { Fanout } from '../connection/socket.ts';
import { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { HistoryResult, MembersResult, Position, PublishCommand } from '../protocol/frames.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';
import { AckedReading } from './acks.ts';
import { answer } from './answer.ts';
import { Cursors } from './cursors.ts';
import { FanOut } from './fan-out.ts';
import type { Feed } from './feed.ts';
import { Feeds } from './feeds.ts';
import { Histories } from './histories.ts';
import { Memberships } from './memberships.ts';
import type { PublishReply } from './pending-publish.ts';
import { Presences } from './presences.ts';
import { Publishing, type ServerMessage } from './publishing.ts';
import type { RoomRule } from './room-rule.ts';
import { SentLog } from './sent-log.ts';
import { Signals } from './signals.ts';
import { SlowReaders } from './slow-readers.ts';

// Part of this class's contract: what its promises reject with.
export { BackplaneError };

/** Every room is checked once in this many seconds; see `Feeds.checkSome`. */
const CHECK_ROUND_S = 30;

export interface BrokerNodeParts {
  readonly nodeId: string;
  readonly backplane: Backplane;
  readonly sockets: Fanout;
  readonly outboxes: Outboxes;
  /** Asks for `endTurn` at the end of the event loop's turn. */
  readonly requestTurn: () => void;
  readonly rule: (room: string) => RoomRule;
  readonly limits: {
    readonly roomsPerConnection: number;
    readonly historyPage: number;
    readonly membersPage: number;
  };
  /** Rooms with more members get counts in place of names in their member events. */
  readonly detailedMembers: number;
  readonly metrics: NodeMetrics;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** One broker process: the glue between its connections, its rooms and the backplane. */
export class BrokerNode implements RoomServices {
  readonly nodeId: string;
  readonly hub = new Hub<Connection>();
  readonly #parts: BrokerNodeParts;
  readonly #feeds: Feeds;
  readonly #cursors: Cursors;
  readonly #sent = new SentLog();
  readonly #slowReaders: SlowReaders;
  readonly #presences: Presences;
  readonly #acks: AckedReading;
  readonly #memberships: Memberships;
  readonly #fanOut: FanOut;
  readonly #publishing: Publishing;
  readonly #histories: Histories;
  readonly #signals: Signals;
  #dirty: Feed[] = [];
  #sweeper: Timer | null = null;

  constructor(parts: BrokerNodeParts) {
    const { nodeId, backplane, sockets, rule, metrics, scheduler, log } = parts;
    this.nodeId = nodeId;
    this.#parts = parts;
    this.#fanOut = new FanOut({
      nodeId,
      sockets,
      hub: this.hub,
      sent: this.#sent,
      settleSlow: () => this.#slowReaders.settle(),
      metrics,
      clock: scheduler,
    });
    this.#feeds = new Feeds({
      backplane,
      rule,
      metrics,
      clock: scheduler,
      scheduler,
      log,
      dirty: (feed) => this.#markDirty(feed),
      failed: (feed, error) => this.#memberships.feedFailed(feed, error),
    });
    this.#cursors = new Cursors({
      nodeId,
      backplane,
      metrics,
      scheduler,
      log,
      flushFeed: (feed) => this.#flushFeed(feed),
      repair: (feed) => this.#feeds.repair(feed),
    });
    this.#presences = new Presences({
      presence: backplane.presence,
      hub: this.hub,
      feeds: this.#feeds,
      membersPage: parts.limits.membersPage,
      detailedMembers: parts.detailedMembers,
      scheduler,
      log,
    });
    this.#acks = new AckedReading({ backplane, cursors: this.#cursors, rule, metrics, log });
    this.#memberships = new Memberships({
      hub: this.hub,
      feeds: this.#feeds,
      cursors: this.#cursors,
      presences: this.#presences,
      acks: this.#acks,
      rule,
      roomsPerConnection: parts.limits.roomsPerConnection,
      scheduler,
    });
    this.#slowReaders = new SlowReaders({
      feeds: this.#feeds,
      cursors: this.#cursors,
      sent: this.#sent,
      metrics,
      requestTurn: parts.requestTurn,
    });
    this.#publishing = new Publishing({ backplane, rule, metrics, clock: scheduler });
    this.#histories = new Histories({ backplane, rule, pageMessages: parts.limits.historyPage });
    this.#signals = new Signals({ backplane, hub: this.hub, metrics, log });
  }

  /** Connects to the backplane. Rejects with a `BackplaneError`. */
  async start(): Promise<void> {
    await this.#parts.backplane.start({
      envelope: (room, envelope) => this.#feeds.accept(room, envelope),
      resumed: () => void this.#feeds.checkAll(),
      signal: (text) => this.#signals.arrived(text),
    });
    await this.#presences.start();
    this.#sweeper = this.#parts.scheduler.every(1000, () => this.#sweep());
  }

  /** Lets go of the backplane. The connections must be closed by then. */
  async close(): Promise<void> {
    this.#sweeper?.cancel();
    await this.#presences.close();
    await this.#parts.backplane.close();
  }

  /** Members that are being fed from a cursor. */
  get catchingUp(): number {
    return this.#cursors.count;
  }

  status(): BackplaneStatus {
    return this.#parts.backplane.status();
  }

  /** Each second: closes rooms that have been empty for a while, and checks some of the others. */
  #sweep(): void {
    void this.#feeds.checkSome(Math.ceil(this.#feeds.size / CHECK_ROUND_S));
    this.#memberships.closeIdle();
  }

  /** The end of the event loop's turn: what it produced leaves, in the order that `Outboxes` explains. */
  endTurn(): void {
    const { outboxes } = this.#parts;
    this.#slowReaders.settle();
    this.#sent.clear();
    outboxes.flushFirst();
    this.#slowReaders.settle();
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const feed of dirty) this.#fanOut.flush(feed);
    outboxes.flushRest();
  }

  #markDirty(feed: Feed): void {
    this.#dirty.push(feed);
    this.#parts.requestTurn();
  }

  #flushFeed(feed: Feed): void {
    this.#slowReaders.settle();
    if (!feed.hasPending) return;
    this.#parts.outboxes.flushFirst();
    this.#slowReaders.settle();
    this.#fanOut.flush(feed);
  }

  // ---- connections ---------------------------------------------------------------------------------------

  connected(connection: Connection): void {
    this.hub.add(connection);
    this.#memberships.enterPersonal(connection);
  }

  identified(connection: Connection, identity: Identity): void {
    const isFirst = connection.identity === null;
    connection.identity = identity;
    if (!isFirst) return;
    this.hub.identify(connection);
    this.#memberships.enterPersonal(connection);
    connection.welcome();
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    connection.drained();
    this.#cursors.drained(connection);
  }

  /** uWebSockets.js dropped a message for this connection, whose bytes are valid during the call. */
  dropped(connection: Connection, message: Uint8Array): void {
    this.#slowReaders.dropped(connection, message);
  }

  stalled(connection: Connection): void {
    this.#slowReaders.stalled(connection);
  }

  disconnected(connection: Connection): void {
    this.#memberships.leftAll(connection);
    this.hub.remove(connection);
  }

  /** Ends every connection of a user, on every node. Resolves when all were told. Rejects with `BackplaneError`. */
  disconnectUser(user: string): Promise<void> {
    return this.#signals.disconnect(user);
  }

  // ---- rooms ---------------------------------------------------------------------------------------------

  join(request: Request, name: string, since: Position | null, resume: boolean): void {
    this.#memberships.join(request, name, since, resume);
  }

  leave(request: Request, name: string): void {
    this.#memberships.leave(request, name);
  }

  members(request: Request, room: string): void {
    this.#presences.members(request, room, this.#parts.rule(room).presence);
  }

  /** Who is in a room, on any node. Rejects with `BackplaneError`. */
  listMembers(room: string): Promise<MembersResult> {
    return this.#presences.list(room);
  }

  /** Rooms with members whose presence is kept, on any node, by name. Rejects with `BackplaneError`. */
  listRooms(limit: number | null): Promise<RoomsPage> {
    const { membersPage } = this.#parts.limits;
    return this.#parts.backplane.presence.rooms(Math.min(limit ?? membersPage, membersPage));
  }

  /** Ids of the nodes that are alive, this one included. Rejects with `BackplaneError`. */
  listNodes(): Promise<readonly string[]> {
    return this.#parts.backplane.presence.nodes();
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    this.#acks.ack(request, user, room, position);
  }

  /** Whether it is kept in a room how far its users have read. */
  keepsAcks(room: string): boolean {
    return this.#acks.isKeptIn(room);
  }

  /** Who has read up to an offset or further: of a room that keeps acks. Rejects with `BackplaneError`. */
  listAcks(room: string, from: number | null, limit: number | null): Promise<AckPage> {
    const { membersPage } = this.#parts.limits;
    return this.#acks.list(room, from, Math.min(limit ?? membersPage, membersPage));
  }

  // ---- messages ------------------------------------------------------------------------------------------

  publish(connection: Connection, command: PublishCommand): void {
    const feed = this.#feeds.get(command.room);
    const held = feed ? this.#acks.heldJoin(connection, feed) : null;
    if (!held && (feed?.state !== 'opening' || !connection.rooms.includes(command.room))) {
      return this.#publishing.fromConnection(connection, command);
    }
    // The connection sent a join and this in one go, and expects to receive it: were it stored before the room is
    // subscribed here, the join would begin after it.
    const kept = { ...command, data: new Uint8Array(command.data) };
    if (held) held.whenReleased(() => this.publish(connection, kept));
    else feed?.whenOpened(() => this.#publishing.fromConnection(connection, kept));
  }

  /** A message of the server API. `reply` is called once, later. */
  publishFromServer(message: ServerMessage, reply: PublishReply): void {
    this.#publishing.fromServer(message, reply);
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    answer(request, this.readHistory(room, since, limit), this.#parts.log);
  }

  /** Stored messages of a room; see `Histories.read`. */
  readHistory(room: string, since: Position | null, limit: number | null): Promise<HistoryResult> {
    return this.#histories.read(room, since, limit);
  }
}
