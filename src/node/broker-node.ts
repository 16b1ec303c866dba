import {
  AccessRefused,
  authorize,
  authorizeInCluster,
  type ClusterAction,
  type RoomAction,
} from '../auth/authorize.ts';
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
import type { MembersResult, Position, PublishCommand } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { AckedReading } from './acks.ts';
import { ClientReads } from './client-reads.ts';
import { Cursors } from './cursors.ts';
import { FanOut } from './fan-out.ts';
import type { Feed } from './feed.ts';
import { Feeds } from './feeds.ts';
import { Histories, type HistoryRun } from './histories.ts';
import { Memberships } from './memberships.ts';
import type { PublishReply } from './pending-publish.ts';
import { Presences } from './presences.ts';
import { Publishing, type ServerMessage } from './publishing.ts';
import { ReadGate, ReadRefused } from './read-gate.ts';
import type { RoomRule } from './room-rule.ts';
import { SentLog } from './sent-log.ts';
import { Signals } from './signals.ts';
import { SlowReaders } from './slow-readers.ts';

// Part of this class's contract: what its promises reject with.
export { AccessRefused, BackplaneError, ReadRefused };

/** Every room is checked once in this many seconds; see `Feeds.checkSome`. */
const CHECK_ROUND_S = 30;
/** How long a client may be away on a train, behind a lift door, in a deploy. */
const RECONNECT_MS = 30_000;
const READ_BYTES_PER_SECOND = 4 * 1024 * 1024;

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
    /** Of answers to reads, for each connection; see `ReadGate`. Default 4 MiB; 0: no limit. */
    readonly readBytesPerSecond?: number;
  };
  /** Rooms with more members get counts in place of names in their member events. */
  readonly detailedMembers: number;
  readonly metrics: NodeMetrics;
  readonly clock: Clock;
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
  readonly #gate: ReadGate;
  readonly #reads: ClientReads;
  readonly #signals: Signals;
  #dirty: Feed[] = [];
  #sweeper: NodeJS.Timeout | null = null;

  constructor(parts: BrokerNodeParts) {
    const { nodeId, backplane, sockets, rule, metrics, clock, log } = parts;
    this.nodeId = nodeId;
    this.#parts = parts;
    this.#fanOut = new FanOut({
      nodeId,
      sockets,
      hub: this.hub,
      sent: this.#sent,
      settleSlow: () => this.#slowReaders.settle(),
      metrics,
      clock,
    });
    this.#feeds = new Feeds({
      backplane,
      rule,
      metrics,
      clock,
      log,
      dirty: (feed) => this.#markDirty(feed),
      failed: (feed, error) => this.#memberships.feedFailed(feed, error),
    });
    this.#cursors = new Cursors({
      nodeId,
      backplane,
      metrics,
      clock,
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
      clock,
    });
    this.#slowReaders = new SlowReaders({
      feeds: this.#feeds,
      cursors: this.#cursors,
      sent: this.#sent,
      metrics,
      requestTurn: parts.requestTurn,
    });
    this.#publishing = new Publishing({ backplane, rule, metrics, clock });
    this.#gate = new ReadGate({
      atOnce: backplane.readsAtOnce,
      bytesPerSecond: parts.limits.readBytesPerSecond ?? READ_BYTES_PER_SECOND,
      clock,
      stats: metrics.reads,
    });
    this.#reads = new ClientReads({
      gate: this.#gate,
      histories: new Histories({ backplane, rule, pageMessages: parts.limits.historyPage }),
      presences: this.#presences,
      presence: backplane.presence,
      acks: this.#acks,
      membersPage: parts.limits.membersPage,
      log,
    });
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
    this.#sweeper = setInterval(() => this.#sweep(), 1000);
    this.#sweeper.unref();
  }

  /** Lets go of the backplane. The connections must be closed by then. */
  async close(): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    await this.#presences.close();
    await this.#parts.backplane.close();
  }

  /** Members that are being fed from a cursor. */
  get catchingUp(): number {
    return this.#cursors.count;
  }

  /** Rooms with members here whose history does not reach back over a reconnect. */
  get shortHistories(): number {
    return this.#feeds.withShortHistory(RECONNECT_MS);
  }

  /** Reads for clients: under way, and waiting for their turn. */
  get reads(): { readonly inFlight: number; readonly waiting: number } {
    return { inFlight: this.#gate.reading, waiting: this.#gate.waiting };
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
    const { awaitsAuth, identity: before } = connection;
    connection.identity = identity;
    if (before === null) this.hub.identify(connection);
    this.#memberships.reconsider(connection, before === null || !looksSame(before, identity));
    if (before === null) this.#memberships.enterPersonal(connection);
    // An anonymous connection that becomes a user's was welcomed when it came.
    if (awaitsAuth) connection.welcome();
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    connection.drained();
    this.#cursors.drained(connection);
    this.#gate.drained(connection);
  }

  /** uWebSockets.js dropped a message for this connection, whose bytes are valid during the call. */
  dropped(connection: Connection, message: Uint8Array): void {
    this.#slowReaders.dropped(connection, message);
  }

  stalled(connection: Connection): void {
    this.#slowReaders.stalled(connection);
  }

  disconnected(connection: Connection): void {
    this.#gate.left(connection);
    this.#memberships.leftAll(connection);
    this.hub.remove(connection);
  }

  /** Ends every connection of a user, on every node. Resolves when all were told. Rejects with `BackplaneError`. */
  async disconnectUser(user: string): Promise<void> {
    this.#permitServerInCluster('disconnect');
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
    const isKept = this.#parts.rule(room).presence;
    if (!isKept) return request.fail('bad_request', 'presence is not kept in this room');
    this.#reads.members(request, room);
  }

  /** Who is in a room, on any node, for the server API. Rejects with `BackplaneError` or `ReadRefused`. */
  async listMembers(room: string): Promise<MembersResult> {
    this.#permitServer('members', room);
    return this.#reads.listMembers(room);
  }

  /** Rooms with members whose presence is kept, on any node, by name. Rejects with `BackplaneError` or `ReadRefused`. */
  async listRooms(limit: number | null): Promise<RoomsPage> {
    this.#permitServerInCluster('rooms');
    return this.#reads.listRooms(limit);
  }

  /** Ids of the nodes that are alive, this one included. Rejects with `BackplaneError`. */
  async listNodes(): Promise<readonly string[]> {
    this.#permitServerInCluster('nodes');
    return this.#parts.backplane.presence.nodes();
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    this.#acks.ack(request, user, room, position);
  }

  /** Whether it is kept in a room how far its users have read. */
  keepsAcks(room: string): boolean {
    return this.#acks.isKeptIn(room);
  }

  /** Who has read up to an offset or further: of a room that keeps acks. Rejects with `BackplaneError` or `ReadRefused`. */
  async listAcks(room: string, from: number | null, limit: number | null): Promise<AckPage> {
    this.#permitServer('acks', room);
    return this.#reads.listAcks(room, from, limit);
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
    if (held) held.whenReleased(() => this.#publishHeld(connection, kept));
    else feed?.whenOpened(() => this.#publishHeld(connection, kept));
  }

  /** Asked anew: the join that it waited for may have failed, and the token may have been replaced. */
  #publishHeld(connection: Connection, command: PublishCommand): void {
    const { room, id } = command;
    const refusal = authorize('publish', room, connection, this.#parts.rule(room));
    if (refusal === null) this.publish(connection, command);
    else connection.fail(id, refusal.code, refusal.message);
  }

  /** A message of the server API. `reply` is called once, later. */
  publishFromServer(message: ServerMessage, reply: PublishReply): void {
    this.#permitServer('publish', message.room);
    this.#publishing.fromServer(message, reply);
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    this.#reads.history(request, room, since, limit);
  }

  /** Stored messages of a room, for the server API; see `Histories.read`. Rejects with `BackplaneError` or `ReadRefused`. */
  async readHistory(room: string, since: Position | null, limit: number | null): Promise<HistoryRun> {
    this.#permitServer('history', room);
    return this.#reads.readHistory(room, since, limit);
  }

  /** The server API is asked like everyone else. Throws `AccessRefused`. */
  #permitServer(action: RoomAction, room: string): void {
    const refusal = authorize(action, room, 'server', this.#parts.rule(room));
    if (refusal !== null) throw new AccessRefused(refusal);
  }

  #permitServerInCluster(action: ClusterAction): void {
    const refusal = authorizeInCluster(action, 'server');
    if (refusal !== null) throw new AccessRefused(refusal);
  }
}

/** Whether members see the two as the same. The user is the same: a token of another is refused. */
function looksSame(one: Identity, other: Identity): boolean {
  return JSON.stringify(one.info) === JSON.stringify(other.info);
}
