import { type JoinAsks, type KeptOut, PLAIN_JOIN, type Refusal } from '../auth/authorize.ts';
import { type Identity, looksSame } from '../auth/identity.ts';
import type { Revocations } from '../auth/token-gate.ts';
import type { BackplaneStatus, Place } from '../backplane/backplane.ts';
import type { CommandTurns } from '../connection/command-turns.ts';
import type { Connection } from '../connection/connection.ts';
import type { FlushQueue } from '../connection/flush-queue.ts';
import { type OverLimit, overLimit } from '../connection/over-limit.ts';
import type { JoinWish, MembersPageWish, Request, RoomServices } from '../connection/services.ts';
import type { Hub } from '../hub/hub.ts';
import type { PackedValue, Position, PublishCommand } from '../protocol/frames.ts';
import type { EndOfTurn } from '../util/end-of-turn.ts';
import type { Timer } from '../util/scheduler.ts';
import type { Denied } from './denied.ts';
import type { ServerApi } from './server-api.ts';
import { type BrokerNodeParts, createWorkings, type NodeWorkings } from './workings.ts';

/** Every room is checked once in this many seconds; see `Feeds.checkSome`. */
const CHECK_ROUND_S = 30;
/** When a user may have closed one of many connections. */
const USER_FULL_RETRY_MS = 5000;

/** One broker process: the glue between its connections, its rooms and the backplane. */
export class BrokerNode implements RoomServices {
  readonly nodeId: string;
  readonly hub: Hub<Connection>;
  /** What the server may do, as no client can. */
  readonly server: ServerApi;
  /** The end of the turn for all connections of this node and its deliveries. */
  readonly endOfTurn: EndOfTurn;
  readonly flushQueue: FlushQueue;
  readonly commandTurns: CommandTurns;
  readonly #parts: BrokerNodeParts;
  readonly #workings: NodeWorkings;
  #sweeper: Timer | null = null;
  #lastNumber = 0;

  constructor(parts: BrokerNodeParts) {
    this.#parts = parts;
    this.#workings = createWorkings(parts);
    this.nodeId = parts.nodeId;
    const { hub, server, endOfTurn, flushQueue, commandTurns } = this.#workings;
    this.hub = hub;
    this.server = server;
    this.endOfTurn = endOfTurn;
    this.flushQueue = flushQueue;
    this.commandTurns = commandTurns;
  }

  /** Connects to the backplane. Rejects with `BackplaneError`. */
  async start(): Promise<void> {
    const { feeds, control, denied, presences } = this.#workings;
    await this.#parts.backplane.start({
      envelope: (room, envelope) => feeds.accept(room, envelope),
      resumed: (has) => this.#resumed(has),
      signal: (text) => control.arrived(text),
    });
    await denied.load();
    await presences.start();
    this.#sweeper = this.#parts.scheduler.every(1000, () => this.#sweep());
  }

  #resumed(has: (place: Place) => boolean = everywhere): void {
    const { denied, feeds, presences } = this.#workings;
    if (has(null)) denied.reload();
    void feeds.checkAll(has);
    presences.resumed(has);
  }

  /** Releases the backplane. Close the connections first. */
  async close(): Promise<void> {
    const { denied, presences } = this.#workings;
    this.#sweeper?.cancel();
    denied.stop();
    await presences.close();
    await this.#parts.backplane.close();
  }

  /** Members that a cursor feeds now. */
  get catchingUp(): number {
    return this.#workings.catchUp.count;
  }

  /** Rooms with members here whose history does not cover a reconnect. */
  get shortHistories(): number {
    return this.#workings.feeds.withShortHistory();
  }

  /** Messages that left the history of such a room before a client could have come back. */
  get trimmedEarly(): number {
    return this.#workings.feeds.trimmedEarly;
  }

  /** Bytes that wait in this process for all connections together. */
  get unreadBytes(): number {
    return this.#workings.unread.total;
  }

  /** Users that the server API keeps out of rooms. */
  get keptOut(): KeptOut & { readonly keptOutCount: number } {
    return this.#workings.denied;
  }

  /** Users and tokens that the server API has revoked. */
  get revocations(): Revocations & Pick<Denied, 'counts'> {
    return this.#workings.denied;
  }

  /** Reads for clients: in flight, and waiting. */
  get reads(): { readonly inFlight: number; readonly waiting: number } {
    const { reading: inFlight, waiting } = this.#workings.gate;
    return { inFlight, waiting };
  }

  status(): BackplaneStatus {
    return this.#parts.backplane.status();
  }

  /** Each second: closes rooms that have been empty for a while, reads what could not be read of others, and checks some. */
  #sweep(): void {
    const { memberships, feeds, presences, denied, unread } = this.#workings;
    memberships.closeIdle();
    void feeds.retry();
    void feeds.checkSome(Math.ceil(feeds.size / CHECK_ROUND_S));
    presences.checkSome();
    denied.sweep();
    unread.look();
  }

  // ---- connections ---------------------------------------------------------------------------------------

  /** A number for a connection: none is given twice. */
  nextNumber(): number {
    return ++this.#lastNumber;
  }

  connected(connection: Connection): void {
    this.hub.add(connection);
    this.#workings.memberships.enterPersonal(connection);
  }

  /** An event stream opened: it is in no room that its reader did not name. */
  streamOpened(connection: Connection): void {
    this.hub.add(connection);
    this.#workings.memberships.hearPersonal(connection);
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
    const { memberships } = this.#workings;
    const { awaitsAuth, identity: before } = connection;
    connection.identity = identity;
    if (before === null) this.hub.identify(connection);
    memberships.reconsider(connection, before === null || !looksSame(before, identity));
    if (before === null) memberships.enterPersonal(connection);
    // An anonymous connection that becomes a user's got its hello when it arrived.
    if (awaitsAuth) connection.welcome();
  }

  /** The connection's socket has room again. */
  drained(connection: Connection): void {
    connection.drained();
    this.#workings.catchUp.drained(connection);
    this.#workings.gate.drained(connection);
  }

  /** uWebSockets.js dropped a message for this connection; its bytes are valid during the call. */
  dropped(connection: Connection, message: Uint8Array): void {
    this.#workings.delivery.dropped(connection, message);
  }

  /** A message that is being published could not be kept for this connection. */
  missed(connection: Connection): void {
    this.#workings.delivery.missed(connection);
  }

  stalled(connection: Connection): void {
    this.#workings.delivery.stalled(connection);
  }

  disconnected(connection: Connection): void {
    this.#workings.memberships.leftAll(connection);
    this.hub.remove(connection);
    this.#workings.gate.left(connection);
  }

  // ---- rooms ---------------------------------------------------------------------------------------------

  join(request: Request, name: string, wish: JoinWish): void {
    this.#workings.memberships.join(request, name, wish);
  }

  /** Why a client that is in no room may not join one in this way; null if it may. */
  joinRefusal(room: string, identity: Identity | null, asks: JoinAsks = PLAIN_JOIN): Refusal | null {
    return this.#workings.rights.joinRefusal(room, asks, { identity, rooms: [] });
  }

  leave(request: Request, name: string): void {
    this.#workings.memberships.leave(request, name);
  }

  presence(request: Request, room: string, data: PackedValue | null): void {
    this.#workings.memberships.setData(request, room, data);
  }

  members(request: Request, room: string, page: MembersPageWish): void {
    if (!this.#parts.rule(room).presence) {
      return request.fail('bad_request', 'this room keeps no presence: set presence in its rule');
    }
    this.#workings.reads.members(request, room, page);
  }

  ack(request: Request, user: string, room: string, position: Position): void {
    this.#workings.acks.ack(request, user, room, position);
  }

  // ---- messages ------------------------------------------------------------------------------------------

  publish(connection: Connection, command: PublishCommand): void {
    this.#workings.memberships.publish(connection, command);
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    this.#workings.reads.history(request, room, since, limit);
  }
}

/** For a backplane that does not say where. */
function everywhere(): boolean {
  return true;
}
