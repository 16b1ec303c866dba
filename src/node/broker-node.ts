import type { Identity } from '../auth/identity.ts';
import { type Backplane, BackplaneError, type BackplaneStatus } from '../backplane/backplane.ts';
import type { Connection } from '../connection/connection.ts';
import type { Outboxes } from '../connection/outboxes.ts';
import type { Request, RoomServices } from '../connection/services.ts';
import type { Fanout } from '../connection/socket.ts';
import { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import type { HistoryResult, Position, PublishCommand } from '../protocol/frames.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { Cursor } from './cursor.ts';
import { Cursors } from './cursors.ts';
import { FanOut } from './fan-out.ts';
import type { Feed } from './feed.ts';
import { Feeds } from './feeds.ts';
import { Histories } from './histories.ts';
import type { PublishReply } from './pending-publish.ts';
import { Publishing, type ServerMessage } from './publishing.ts';
import type { RoomRule } from './room-rule.ts';
import { SentLog } from './sent-log.ts';
import { SlowReaders } from './slow-readers.ts';

// Part of this class's contract: what its promises reject with.
export { BackplaneError };

/** How long a room stays subscribed after its last member left: those who reload a page find it warm. */
const ROOM_GRACE_MS = 5_000;

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
  readonly limits: { readonly roomsPerConnection: number; readonly historyPage: number };
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
  readonly #fanOut: FanOut;
  readonly #publishing: Publishing;
  readonly #histories: Histories;
  #dirty: Feed[] = [];
  readonly #idle = new Set<Feed>();
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
      failed: (feed, error) => this.#feedFailed(feed, error),
    });
    this.#cursors = new Cursors({
      nodeId,
      backplane,
      metrics,
      clock,
      log,
      flushFeed: (feed) => this.#flushFeed(feed),
      repair: (feed) => void this.#feeds.repair(feed),
    });
    this.#slowReaders = new SlowReaders({
      feeds: this.#feeds,
      cursors: this.#cursors,
      sent: this.#sent,
      metrics,
      requestTurn: parts.requestTurn,
    });
    this.#publishing = new Publishing({ backplane, rule, metrics, clock });
    this.#histories = new Histories({ backplane, rule, pageMessages: parts.limits.historyPage });
  }

  /** Connects to the backplane. Rejects with a `BackplaneError`. */
  async start(): Promise<void> {
    await this.#parts.backplane.start({
      envelope: (room, envelope) => this.#feeds.accept(room, envelope),
      resumed: () => void this.#feeds.checkAll(),
    });
    this.#sweeper = setInterval(() => this.#sweep(), 1000);
    this.#sweeper.unref();
  }

  /** Lets go of the backplane. The connections must be closed by then. */
  async close(): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    await this.#parts.backplane.close();
  }

  /** Members that are being fed from a cursor. */
  get catchingUp(): number {
    return this.#cursors.count;
  }

  status(): BackplaneStatus {
    return this.#parts.backplane.status();
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
    if (feed.pending.length === 0) return;
    this.#parts.outboxes.flushFirst();
    this.#slowReaders.settle();
    this.#fanOut.flush(feed);
  }

  // ---- connections ---------------------------------------------------------------------------------------

  connected(connection: Connection): void {
    this.hub.add(connection);
  }

  identified(connection: Connection, identity: Identity): void {
    const isFirst = connection.identity === null;
    connection.identity = identity;
    if (!isFirst) return;
    this.hub.identify(connection);
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
    this.#cursors.stopAll(connection);
    for (const name of connection.rooms) this.#left(connection, name);
    this.hub.remove(connection);
  }

  // ---- rooms ---------------------------------------------------------------------------------------------

  join(request: Request, name: string, since: Position | null): void {
    const { connection } = request;
    const rule = this.#parts.rule(name);
    if (rule.join === 'nobody') return request.fail('forbidden', 'nobody may join this room');
    if (rule.join === 'authenticated' && connection.identity === null) {
      return request.fail('forbidden', 'only authenticated users may join this room');
    }
    if (connection.rooms.includes(name)) this.#suspend(connection, name);
    else if (connection.rooms.length >= this.#parts.limits.roomsPerConnection) {
      const { roomsPerConnection } = this.#parts.limits;
      return request.fail('limit_exceeded', `a connection may be in at most ${roomsPerConnection} rooms`);
    } else this.hub.enter(connection, name);
    const feed = this.#feeds.open(this.hub.room(name)!);
    this.#idle.delete(feed);
    this.#cursors.start(
      new Cursor(connection, feed, since, {
        begun: (recovered) => {
          request.ok({ epoch: feed.epoch, offset: feed.offset, recovered: recovered && since !== null });
          connection.flushBeforeMessages();
        },
        failed: (error) => {
          this.#left(connection, name);
          request.fail(error.code, error.message);
        },
      }),
    );
  }

  leave(request: Request, name: string): void {
    const { connection } = request;
    if (!connection.rooms.includes(name)) return request.fail('not_joined', 'not a member of this room');
    this.#left(connection, name);
    request.ok({});
  }

  members(request: Request, _room: string): void {
    request.fail('bad_request', 'presence is not kept in this room');
  }

  /** Takes a member off its room's topic; what it is on its way to, if anything, is forgotten. */
  #suspend(connection: Connection, name: string): Feed | undefined {
    const room = this.hub.room(name);
    const feed = this.#feeds.get(name);
    if (room) connection.socket.unsubscribe(room.topic(connection.readsText));
    const cursor = feed && this.#cursors.find(connection, feed);
    if (cursor) this.#cursors.stop(cursor);
    return feed;
  }

  #left(connection: Connection, name: string): void {
    const feed = this.#suspend(connection, name);
    const room = this.hub.leave(connection, name);
    if (!room || room.members > 0) return;
    if (!feed) return this.hub.drop(room);
    feed.idleSinceMs = this.#parts.clock.nowMs();
    this.#idle.add(feed);
  }

  /** Each second: closes rooms that have been empty for a while, and checks some of the others. */
  #sweep(): void {
    void this.#feeds.checkSome(Math.ceil(this.#feeds.size / CHECK_ROUND_S));
    const before = this.#parts.clock.nowMs() - ROOM_GRACE_MS;
    for (const feed of this.#idle) {
      if (feed.idleSinceMs === null || feed.idleSinceMs > before) continue;
      this.#idle.delete(feed);
      this.#feeds.close(feed);
      this.hub.drop(feed.room);
    }
  }

  #feedFailed(feed: Feed, error: BackplaneError): void {
    this.#idle.delete(feed);
    for (const cursor of [...feed.cursors]) cursor.fail(error);
    this.hub.drop(feed.room);
    feed.opened();
  }

  // ---- messages ------------------------------------------------------------------------------------------

  publish(connection: Connection, command: PublishCommand): void {
    const feed = this.#feeds.get(command.room);
    if (feed?.state !== 'opening' || !connection.rooms.includes(command.room)) {
      return this.#publishing.fromConnection(connection, command);
    }
    // The connection sent a join and this in one go, and expects to receive it: were it stored before the room is
    // subscribed here, the join would begin after it.
    const kept = { ...command, data: command.data.slice() };
    feed.whenOpened(() => this.#publishing.fromConnection(connection, kept));
  }

  /** A message of the server API. `reply` is called once, later. */
  publishFromServer(message: ServerMessage, reply: PublishReply): void {
    this.#publishing.fromServer(message, reply);
  }

  history(request: Request, room: string, since: Position | null, limit: number | null): void {
    this.readHistory(room, since, limit)
      .then((result) => request.ok(result))
      .catch((error: unknown) => {
        const known = error instanceof BackplaneError ? error : null;
        if (!known) this.#parts.log.error({ error }, 'history could not be read');
        request.fail(known?.code ?? 'internal', known?.message ?? 'history could not be read');
      });
  }

  /** Stored messages of a room; see `Histories.read`. */
  readHistory(room: string, since: Position | null, limit: number | null): Promise<HistoryResult> {
    return this.#histories.read(room, since, limit);
  }
}
