import { type JoinAsks, type KeptOut, PLAIN_JOIN, type Refusal } from '../auth/authorize.ts';
import { type Identity, looksSame } from '../auth/identity.ts';
import type { Revocations } from '../auth/token-gate.ts';
import type { Backplane, BackplaneStatus, Place } from '../backplane/backplane.ts';
import type { RoomRule } from '../config/room-rule.ts';
import { CommandTurns } from '../connection/command-turns.ts';
import type { Connection } from '../connection/connection.ts';
import { FlushQueue } from '../connection/flush-queue.ts';
import { type OverLimit, overLimit } from '../connection/over-limit.ts';
import type { JoinWish, MembersPageWish, Request, RoomServices } from '../connection/services.ts';
import type { Fanout } from '../connection/socket.ts';
import { UnreadBytes } from '../connection/unread-bytes.ts';
import { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { PackedValue, Position, PublishCommand } from '../protocol/frames.ts';
import { EndOfTurn } from '../util/end-of-turn.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler, Timer } from '../util/scheduler.ts';
import { CatchUp } from './catch-up/catch-up.ts';
import { ControlMessages } from './control-messages.ts';
import { Delivery } from './delivery/delivery.ts';
import { Denied } from './denied.ts';
import { AckedReading } from './membership/acked-reading.ts';
import { Memberships } from './membership/memberships.ts';
import { Presences } from './membership/presences.ts';
import { RoomRights } from './membership/room-rights.ts';
import { Publishing } from './publishing.ts';
import { ClientReads } from './reads/client-reads.ts';
import { HistoryReads } from './reads/history-reads.ts';
import { ReadGate } from './reads/read-gate.ts';
import { Revoking } from './revoking.ts';
import { Feeds } from './rooms/feeds.ts';
import { Unechoed } from './rooms/unechoed.ts';
import { ServerApi } from './server-api.ts';
import { ServerCalls } from './server-calls.ts';

/** Every room is checked once in this many seconds; see `Feeds.checkSome`. */
const CHECK_ROUND_S = 30;
const READ_BYTES_PER_SECOND = 4 * 1024 * 1024;
const WAITING_READS = 128;
/** When a user may have closed one of many connections. */
const USER_FULL_RETRY_MS = 5000;
/** Who catches up may be given more than who asks: it has missed that, and gets it once. */
const CATCH_UP_SHARE = 4;

export interface BrokerNodeParts {
  readonly nodeId: string;
  readonly backplane: Backplane;
  readonly sockets: Fanout;
  readonly rule: (room: string) => RoomRule;
  readonly limits: {
    readonly roomsPerConnection: number;
    readonly historyPage: number;
    readonly membersPage: number;
    readonly presenceBytes: number;
    /** For answers to reads, per connection; see `ReadGate`. Default 4 MiB; 0: no limit. */
    readonly readBytesPerSecond?: number;
    /** Reads of one connection that may wait. Default 128. */
    readonly waitingReads?: number;
    /** Connections of one user to this node. Default 0: no limit. */
    readonly connectionsPerUser?: number;
    /** Bytes that may wait for all connections together. Default 0: no limit. */
    readonly unreadBytes?: number;
  };
  /** Rooms with more members get counts instead of names in their member events. */
  readonly detailedMembers: number;
  /** Of changed presence data, that each member of a room is sent; 0: no limit. */
  readonly dataBytesPerSecond: number;
  readonly metrics: NodeMetrics;
  readonly scheduler: Scheduler;
  readonly log: Logger;
}

/** One broker process: the glue between its connections, its rooms and the backplane. */
export class BrokerNode implements RoomServices {
  readonly nodeId: string;
  readonly hub = new Hub<Connection>();
  /** What the server may do, as no client can. */
  readonly server: ServerApi;
  readonly #parts: BrokerNodeParts;
  /** The end of the turn for all connections of this node and its deliveries. */
  readonly endOfTurn: EndOfTurn;
  readonly flushQueue: FlushQueue;
  readonly commandTurns: CommandTurns;
  readonly #feeds: Feeds;
  readonly #catchUp: CatchUp;
  readonly #delivery: Delivery;
  readonly #presences: Presences;
  readonly #acks: AckedReading;
  readonly #memberships: Memberships;
  readonly #publishing: Publishing;
  readonly #gate: ReadGate;
  readonly #reads: ClientReads;
  readonly #control: ControlMessages;
  readonly #unread: UnreadBytes<Connection>;
  readonly #denied: Denied;
  readonly #rights: RoomRights;
  #sweeper: Timer | null = null;
  #lastNumber = 0;

  /** Each part knows only the parts made before it. */
  constructor(parts: BrokerNodeParts) {
    const { backplane, limits, scheduler } = parts;
    const endOfTurn = new EndOfTurn(scheduler, () => this.#endTurn());
    this.endOfTurn = endOfTurn;
    this.commandTurns = new CommandTurns(endOfTurn, scheduler);
    const shared = { ...parts, clock: scheduler, endOfTurn, hub: this.hub, unechoed: new Unechoed() };
    this.nodeId = parts.nodeId;
    this.#parts = parts;
    this.flushQueue = new FlushQueue(endOfTurn);
    this.#unread = new UnreadBytes({
      limit: limits.unreadBytes ?? 0,
      connections: () => this.hub.connections(),
      closed: (connections, bytes) => this.#closedUnread(connections, bytes),
    });
    this.#denied = new Denied({
      denials: backplane.denials,
      scheduler,
      log: parts.log,
      learned: (room, user) => this.#control.removeLate(room, user),
      learnedRevoked: (revoked) => revoking.end(revoked),
      restored: () => this.#restored(),
    });
    const revoking = new Revoking({ ...shared, denied: this.#denied });
    const rights = new RoomRights({ rule: parts.rule, keptOut: this.#denied });
    this.#rights = rights;
    const feeds = new Feeds({ ...shared, resubscribed: (feed) => this.#presences.missed(feed) });
    const readBytesPerSecond = limits.readBytesPerSecond ?? READ_BYTES_PER_SECOND;
    const catchUpBytesPerSecond = CATCH_UP_SHARE * readBytesPerSecond;
    const catchUp = new CatchUp({
      ...shared,
      feeds,
      catchUpBytesPerSecond,
      hearsMembers: (connection, feed) => this.#presences.hearsMembers(connection, feed),
      wentLive: (connection, feed) => this.#presences.wentLive(connection, feed),
    });
    this.#feeds = feeds;
    this.#catchUp = catchUp;
    this.#delivery = new Delivery({ ...shared, feeds, catchUp, flushQueue: this.flushQueue });
    this.#publishing = new Publishing(shared);
    this.#acks = new AckedReading(shared);
    this.#gate = new ReadGate({
      atOnce: backplane.readsAtOnce,
      bytesPerSecond: readBytesPerSecond,
      mostWaiting: limits.waitingReads ?? WAITING_READS,
      scheduler,
      stats: parts.metrics.reads,
    });
    this.#presences = new Presences({
      ...shared,
      rights,
      presence: backplane.presence,
      // Without a lost link nothing else tells so soon. The store may lose its last witnesses before the next round.
      leaseLost: () => this.#denied.reload(),
      feeds,
      gate: this.#gate,
      membersPage: limits.membersPage,
      presenceBytes: limits.presenceBytes,
    });
    this.#memberships = new Memberships({
      ...shared,
      rights,
      feeds,
      catchUp,
      presences: this.#presences,
      acks: this.#acks,
      publishing: this.#publishing,
      roomsPerConnection: limits.roomsPerConnection,
      lastMessages: limits.historyPage,
    });
    this.#reads = new ClientReads({
      ...shared,
      rights,
      gate: this.#gate,
      histories: new HistoryReads({ ...shared, pageMessages: limits.historyPage }),
      presences: this.#presences,
      presence: backplane.presence,
      acks: this.#acks,
      membersPage: limits.membersPage,
    });
    this.#control = new ControlMessages({
      ...shared,
      feeds,
      memberships: this.#memberships,
      denied: this.#denied,
      revoking,
    });
    this.server = new ServerApi({
      ...shared,
      calls: new ServerCalls({ ...shared, control: this.#control, denied: this.#denied }),
      reads: this.#reads,
      acks: this.#acks,
      publishing: this.#publishing,
      denied: this.#denied,
    });
  }

  /** Connects to the backplane. Rejects with `BackplaneError`. */
  async start(): Promise<void> {
    await this.#parts.backplane.start({
      envelope: (room, envelope) => this.#feeds.accept(room, envelope),
      resumed: (has) => this.#resumed(has),
      signal: (text) => this.#control.arrived(text),
    });
    await this.#denied.load();
    await this.#presences.start();
    this.#sweeper = this.#parts.scheduler.every(1000, () => this.#sweep());
  }

  #endTurn(): void {
    this.#delivery.endTurn();
    this.commandTurns.nextTurn();
  }

  #resumed(has: (place: Place) => boolean = everywhere): void {
    if (has(null)) this.#denied.reload();
    void this.#feeds.checkAll(has);
    this.#presences.resumed(has);
  }

  #restored(): void {
    this.#control.send({ type: 'restored' }).catch((error: unknown) => {
      // They make new copies by themselves, later.
      this.#parts.log.debug({ error }, 'cannot tell other nodes that denials were restored');
    });
  }

  /** Releases the backplane. Close the connections first. */
  async close(): Promise<void> {
    this.#sweeper?.cancel();
    this.#denied.stop();
    await this.#presences.close();
    await this.#parts.backplane.close();
  }

  /** Members that a cursor feeds now. */
  get catchingUp(): number {
    return this.#catchUp.count;
  }

  /** Rooms with members here whose history does not cover a reconnect. */
  get shortHistories(): number {
    return this.#feeds.withShortHistory();
  }

  /** Messages that left the history of such a room before a client could have come back. */
  get trimmedEarly(): number {
    return this.#feeds.trimmedEarly;
  }

  /** Bytes that wait in this process for all connections together. */
  get unreadBytes(): number {
    return this.#unread.total;
  }

  /** Users that the server API keeps out of rooms. */
  get keptOut(): KeptOut & { readonly keptOutCount: number } {
    return this.#denied;
  }

  /** Users and tokens that the server API has revoked. */
  get revocations(): Revocations & Pick<Denied, 'counts'> {
    return this.#denied;
  }

  /** Reads for clients: in flight, and waiting. */
  get reads(): { readonly inFlight: number; readonly waiting: number } {
    return { inFlight: this.#gate.reading, waiting: this.#gate.waiting };
  }

  status(): BackplaneStatus {
    return this.#parts.backplane.status();
  }

  /** Each second: closes rooms that have been empty for a while, reads what could not be read of others, and checks some. */
  #sweep(): void {
    this.#memberships.closeIdle();
    void this.#feeds.retry();
    void this.#feeds.checkSome(Math.ceil(this.#feeds.size / CHECK_ROUND_S));
    this.#presences.checkSome();
    this.#denied.sweep();
    this.#unread.look();
  }

  #closedUnread(connections: number, bytes: number): void {
    const { metrics, log } = this.#parts;
    metrics.limits['limits.unreadBytes'] += connections;
    log.warn(
      { connections, bytes },
      'closed the connections with the most unread bytes: all together were beyond limits.unreadBytes',
    );
  }

  // ---- connections ---------------------------------------------------------------------------------------

  /** A number for a connection: none is given twice. */
  nextNumber(): number {
    return ++this.#lastNumber;
  }

  connected(connection: Connection): void {
    this.hub.add(connection);
    this.#memberships.enterPersonal(connection);
  }

  /** An event stream opened: it is in no room that its reader did not name. */
  streamOpened(connection: Connection): void {
    this.hub.add(connection);
    this.#memberships.hearPersonal(connection);
  }

  /** Whether a user may have one more connection to this node: null if so. */
  userFull(user: string): OverLimit | null {
    const { connectionsPerUser = 0 } = this.#parts.limits;
    if (connectionsPerUser === 0 || this.hub.countOf(user) < connectionsPerUser) return null;
    const what = 'too many connections of this user';
    return overLimit(
      'limit_exceeded',
      what,
      'limits.connectionsPerUser',
      connectionsPerUser,
      USER_FULL_RETRY_MS,
    );
  }

  identified(connection: Connection, identity: Identity): void {
    const { awaitsAuth, identity: before } = connection;
    connection.identity = identity;
    if (before === null) this.hub.identify(connection);
    this.#memberships.reconsider(connection, before === null || !looksSame(before, identity));
    if (before === null) this.#memberships.enterPersonal(connection);
    // An anonymous connection that becomes a user's got its hello when it arrived.
    if (awaitsAuth) connection.welcome();
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    connection.drained();
    this.#catchUp.drained(connection);
    this.#gate.drained(connection);
  }

  /** uWebSockets.js dropped a message for this connection; its bytes are valid during the call. */
  dropped(connection: Connection, message: Uint8Array): void {
    this.#delivery.dropped(connection, message);
  }

  /** A message that is being published could not be kept for this connection. */
  missed(connection: Connection): void {
    this.#delivery.missed(connection);
  }

  stalled(connection: Connection): void {
    this.#delivery.stalled(connection);
  }

  disconnected(connection: Connection): void {
    this.#memberships.leftAll(connection);
    this.hub.remove(connection);
    this.#gate.left(connection);
  }

  // ---- rooms ---------------------------------------------------------------------------------------------

  join(request: Request, name: string, wish: JoinWish): void {
    this.#memberships.join(request, name, wish);
  }

  /** Why a client that is in no room may not join one in this way; null if it may. */
  joinRefusal(room: string, identity: Identity | null, asks: JoinAsks = PLAIN_JOIN): Refusal | null {
    return this.#rights.joinRefusal(room, asks, { identity, rooms: [] });
  }

  leave(request: Request, name: string): void {
    this.#memberships.leave(request, name);
  }

  presence(request: Request, room: string, data: PackedValue | null): void {
    this.#memberships.setData(request, room, data);
  }

  members(request: Request, room: string, page: MembersPageWish): void {
    if (!this.#parts.rule(room).presence) {
      return request.fail('bad_request', 'this room keeps no presence: set presence in its rule');
    }
    this.#reads.members(request, room, page);
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    this.#acks.ack(request, user, room, position);
  }

  // ---- messages ------------------------------------------------------------------------------------------

  publish(connection: Connection, command: PublishCommand): void {
    this.#memberships.publish(connection, command);
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    this.#reads.history(request, room, since, limit);
  }
}

/** For a backplane that does not say where. */
function everywhere(): boolean {
  return true;
}
