/** What a node is made of, put together in the order in which the parts need each other. */
import type { Backplane } from '../backplane/backplane.ts';
import type { RoomRule } from '../config/room-rule.ts';
import { CommandTurns } from '../connection/command-turns.ts';
import type { Connection } from '../connection/connection.ts';
import { FlushQueue } from '../connection/flush-queue.ts';
import type { Fanout } from '../connection/socket.ts';
import { UnreadBytes } from '../connection/unread-bytes.ts';
import { Hub } from '../hub/hub.ts';
import type { NodeMetrics } from '../metrics/node-metrics.ts';
import { EndOfTurn } from '../util/end-of-turn.ts';
import type { Logger } from '../util/log.ts';
import type { Scheduler } from '../util/scheduler.ts';
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

const READ_BYTES_PER_SECOND = 4 * 1024 * 1024;
const WAITING_READS = 128;
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

export type NodeWorkings = Readonly<ReturnType<typeof createWorkings>>;

/** Each part is given only parts made before it. What it tells a later part goes by a closure, which nothing calls while this runs. */
export function createWorkings(parts: BrokerNodeParts) {
  const { backplane, limits, scheduler, rule } = parts;
  const { presence } = backplane;
  const { historyPage, membersPage, presenceBytes, roomsPerConnection } = limits;
  const { readBytesPerSecond = READ_BYTES_PER_SECOND } = limits;

  // Turns, and what all parts share.
  const endOfTurn = new EndOfTurn(scheduler, () => {
    delivery.endTurn();
    commandTurns.nextTurn();
  });
  const commandTurns = new CommandTurns(endOfTurn, scheduler);
  const flushQueue = new FlushQueue(endOfTurn);
  const hub = new Hub<Connection>();
  const shared = { ...parts, clock: scheduler, endOfTurn, hub, unechoed: new Unechoed() };

  // Who may do what.
  const denied = new Denied({
    ...shared,
    denials: backplane.denials,
    learned: (room, user) => control.removeLate(room, user),
    learnedRevoked: (revoked) => revoking.end(revoked),
    restored: () => control.tellRestored(),
  });
  const revoking = new Revoking({ ...shared, denied });
  const rights = new RoomRights({ rule, keptOut: denied });

  // Messages: in rooms, to those who are behind, to sockets, to the backplane.
  const feeds = new Feeds({ ...shared, resubscribed: (feed) => presences.missed(feed) });
  const catchUp = new CatchUp({
    ...shared,
    feeds,
    catchUpBytesPerSecond: CATCH_UP_SHARE * readBytesPerSecond,
    hearsMembers: (connection, feed) => presences.hearsMembers(connection, feed),
    wentLive: (connection, feed) => presences.wentLive(connection, feed),
  });
  const delivery = new Delivery({ ...shared, feeds, catchUp, flushQueue });
  const publishing = new Publishing(shared);
  const unread = createUnread(parts, hub);

  // Members, and what clients read of the store.
  const acks = new AckedReading(shared);
  const gate = createGate(parts, readBytesPerSecond);
  const presences = new Presences({
    ...shared,
    rights,
    presence,
    isNew: (connection, room) => memberships.isNew(connection, room),
    // Without a lost link nothing else tells so soon. The store may lose its last witnesses before the next round.
    leaseLost: () => denied.reload(),
    feeds,
    gate,
    membersPage,
    presenceBytes,
  });
  const memberships = new Memberships({
    ...shared,
    rights,
    feeds,
    catchUp,
    presences,
    acks,
    publishing,
    roomsPerConnection,
    lastMessages: historyPage,
  });
  const histories = new HistoryReads({ ...shared, pageMessages: historyPage });
  const reads = new ClientReads({
    ...shared,
    rights,
    gate,
    histories,
    presences,
    presence,
    acks,
    membersPage,
  });

  // What nodes tell each other, and what the server asks of all of them.
  const control = new ControlMessages({ ...shared, feeds, memberships, denied, revoking });
  const calls = new ServerCalls({ ...shared, control, denied });
  const server = new ServerApi({ ...shared, calls, reads, acks, publishing, denied });

  return {
    hub,
    server,
    endOfTurn,
    flushQueue,
    commandTurns,
    denied,
    rights,
    feeds,
    catchUp,
    delivery,
    unread,
    acks,
    gate,
    presences,
    memberships,
    reads,
    control,
  };
}

function createUnread({ limits, metrics, log }: BrokerNodeParts, hub: Hub<Connection>) {
  return new UnreadBytes({
    limit: limits.unreadBytes ?? 0,
    connections: () => hub.connections(),
    closed: (connections, bytes) => {
      metrics.limits['limits.unreadBytes'] += connections;
      log.warn(
        { connections, bytes },
        'closed the connections with the most unread bytes: all together were beyond limits.unreadBytes',
      );
    },
  });
}

function createGate({ backplane, limits, metrics, scheduler }: BrokerNodeParts, bytesPerSecond: number) {
  return new ReadGate({
    atOnce: backplane.readsAtOnce,
    bytesPerSecond,
    mostWaiting: limits.waitingReads ?? WAITING_READS,
    scheduler,
    stats: metrics.reads,
  });
}
