/**
 * Memory is bounded: what nodes and clients hold, counted entry by entry (`holdings.ts`), is what is said here. Whatever is not named
 * must be empty, so a new list or map has to be thought about.
 */
import { RECENT_BYTES } from '../../../src/node/rooms/recent.ts';
import { type Holdings, holdingsOf } from './holdings.ts';
import { recentlyRevoked } from './revocations.ts';
import type { SimulatedClient } from './simulated-client.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { ROOMS, type World } from './world.ts';

/** How much there is of what memory is spent on. */
interface Scale {
  /** Of the node. */
  readonly connections: number;
  readonly clients: number;
  /** Rooms that exist, with those of users. */
  readonly rooms: number;
  /** Nodes that lived. */
  readonly lives: number;
  /** What the server API denied. */
  readonly denials: number;
  /** Of those, users whose tokens of before a time are revoked. */
  readonly oldTokens: number;
}

type Bounds = Readonly<Record<string, (scale: Scale) => number>>;

/** Users have a room each. */
const USER_ROOMS = 5;
const UNBOUNDED_NAMES = 1024;
const PLAIN_MESSAGES = 2_560;
const HELD_BYTES = 8 * 1024 * 1024;
const LOOK_AGAIN_MS = 700;

/** What stays when everybody left: small, and of a size that does not depend on how long a node runs. */
const LEFT: Bounds = {
  // Names that have paid are forgotten when there are this many.
  'KeyedRate.#accounts': () => 8 * UNBOUNDED_NAMES,
  // For each rate that rooms are limited to.
  'RoomRates.#byRate': () => 1,
  'KeyedRate itself': () => 8,
  'RedisAcks.#epochs': ({ rooms }) => rooms,
  'LeaseWatch.#seen': ({ lives }) => lives,
  // A call that was never answered may still arrive: the room stays on the node's list.
  'PresenceQueue.#doubtful': ({ rooms }) => rooms,
  'Lease.#peers.nodes': ({ lives }) => lives,
  // Of the server that has the data now, and of no other.
  'FormerPrimary.#addresses': () => 1,
  'Lineages.#evidence': () => 1,
  // The newest ids of servers.
  'Lineages.#known': () => 16,
  // As many as there are numberings in use.
  'Lineages.#promotions': () => 1,
  // Of the node, the newest ones.
  // By key, and then each of them.
  'Unechoed.#messages': () => 2_000,
  'Unechoed.#messages.frame bytes': () => 1_000 * 4_096,
  'DenialTable.#known': ({ denials }) => denials,
  // By user, and then by room.
  'DenialTable.#byUser': ({ denials }) => 2 * denials,
  // By user, and then by time.
  'DenialTable.#oldTokens': ({ oldTokens }) => 2 * oldTokens,
};

const FIRST_MASTERS = 3;
const MOST_MASTERS = 8;
/** Ranges of slots, with two ends each, where each slot that has anything was moved by itself. */
const RANGES = 3 * 30;

/** What nodes know of the servers of a cluster. */
const OF_CLUSTER: Bounds = {
  'SlotMap.servers': () => MOST_MASTERS,
  'SlotMap.masters': () => MOST_MASTERS,
  'SlotMap.masters.replicas': () => MOST_MASTERS,
  'SlotMap.servers.slots': () => RANGES,
  // Each second all of them are asked, and the run may end in the middle of that.
  'Topology.#asking': () => MOST_MASTERS,
  'Topology.#views': () => MOST_MASTERS,
  'Topology.#views.lines': () => MOST_MASTERS * MOST_MASTERS,
  'Topology.#views.lines.slots': () => MOST_MASTERS * RANGES,
  // Of each server the others that had its slots before.
  'Arrivals.#predecessors': () => MOST_MASTERS * MOST_MASTERS,
  // Rooms that nobody of the node is in any more: for a minute.
  'EmptiedRooms.#sinceMs': ({ rooms }) => rooms,
  // Of each master that was promoted and has something.
  'Lineages.#promotions': () => MOST_MASTERS,
};

/** What nodes hold while members are there and nothing happens. */
const AT_REST: Bounds = {
  ...LEFT,
  // What members do and are told is timed.
  intervals: () => Number.POSITIVE_INFINITY,
  ...perConnection(['Connection itself', 'Intake itself', 'Outbox itself', 'Allowance itself']),
  ...perConnection(['Hub.#connections', 'ReadGate.#lanes']),
  // Somebody renews a token at any time.
  ...perConnection(['CheckTurns.#begun']),
  'ByteBudget itself': ({ connections }) => 1 + 2 * connections,
  // By user, and then by connection.
  'Hub.#byUser': ({ connections }) => 2 * connections,
  'MemberData.#brought': (scale) => 2 * members(scale),
  'Heartbeats.#slots': ({ connections }) => 64 + 2 * connections,
  ...perRoom(['Feed itself', 'Feeds.#feeds', 'Room itself', 'Hub.#rooms', 'RecentEnvelopes itself']),
  ...perRoom(['KeptEnvelopes itself', 'Replaced itself']),
  // One is for what nodes tell each other.
  'Wanted.#rooms': ({ rooms }) => rooms + 1,
  'Arrivals.#rooms': ({ rooms }) => rooms + 1,
  ...perRoom(['NewestPerKey itself', 'NewestMessages itself', 'PresenceQueue.#rooms']),
  ...perRoom(['Roster itself', 'Rosters.#watched']),
  ...perMember(['Connection.rooms', 'Roster.#entries', 'PresenceQueue.#rooms.stored']),
  ...perMember(['Rosters.#watched.watchers', 'Feed.unaware', 'Room.members']),
  'MemberData.#brought.data bytes': (scale) => 64 * members(scale),
  'Roster.#entries.data bytes': (scale) => 64 * members(scale),
  // Three keys for each user, and for each connection that is nobody's.
  'Replaced.#newest': ({ rooms, clients }) => 3 * clients * rooms,
  'NewestMessages.#messages': ({ rooms, clients }) => 3 * clients * rooms,
  'NewestMessages.#messages.frame bytes': ({ rooms, clients }) => 3 * clients * rooms * 4_096,
  'Replaced.#plain': ({ rooms }) => rooms * PLAIN_MESSAGES,
  'KeptEnvelopes.#slabs': ({ rooms }) => (rooms * RECENT_BYTES) / 512,
};

/** What clients hold while nothing happens. */
const CLIENT_AT_REST: Bounds = {
  ...perRoom(['Rooms.#memberships', 'Membership itself', 'HeldFrames itself']),
  'OwnMessages itself': () => 1,
  ...perRoom(['Presence itself', 'Reading itself']),
  // Those that a numbering which is over has left behind are among them.
  'OwnMessages.#positions': () => 1_000,
  'Presence.list.members': members,
  'Reading.position': ({ rooms }) => 2 * rooms,
  'Membership.#asked.since': ({ rooms }) => 2 * rooms,
  'Membership.#options.since': ({ rooms }) => 2 * rooms,
};

/** What limits allow, in the middle of everything. */
const IN_STORM: Bounds = {
  'ReadGate.#lanes.waiting': ({ connections }) => 128 * connections,
  // Beyond that they are read from history.
  'Feed.held.bytes bytes': ({ rooms }) => rooms * HELD_BYTES,
  'NewestMessages.#messages': ({ rooms }) => 1_000 * rooms,
  // Ids of what arrives during a read.
  'NewestPerKey.#arrived': ({ rooms }) => 1_000 * rooms,
  'PresenceQueue.#rooms.waiting': (scale) => 8_192 + 2 * members(scale),
  'PublishQueue.#entries': () => 1_000,
  'PublishQueue.#entries.data bytes': () => 1024 * 1024,
};

/** Of what works for the connection: it may be there or not. */
const CLIENT_PARTS = [
  'Session itself',
  'WebSocketLink itself',
  'Outbox itself',
  'Pulse itself',
  'Pace itself',
  'Meter itself',
  'Connector.#parts.urls',
  'ClosedError itself',
  'RefusedError itself',
];

/** Not looked into: the world's own, other people's, and numbers alone. */
const BORDERS =
  /^(Redis|NodeSocket|Topics|SimulatedWebSocket|Loop|Owner|World|Registry|Timeout|SimulatedTimer|AbortController|Promise|WeakRef|WeakMap|WeakSet|Slab|RateLimit|Script|Error)$|Stats$|Emitter|Stream|Gauge|Counter|Histogram/;

export const isBorder = (name: string) => BORDERS.test(name);

/** A node that has just started: tables that never change. Of the first run of this process. */
const freshOf = new Map<boolean, Holdings>();

export function noteFreshNode(world: World): void {
  const [node] = world.running;
  const isCluster = world.cluster !== null;
  if (node !== undefined && !freshOf.has(isCluster)) freshOf.set(isCluster, heldBy(world, node));
}

/** With the intervals that run: a node in which nothing happens has those with which it started, and no others. */
function heldBy({ loop }: World, { core, owner }: SimulatedNode): Holdings {
  const intervals = loop.pendingOf(owner).filter(({ isRepeated }) => isRepeated).length;
  return new Map([...holdingsOf(core, isBorder), ['intervals', intervals]]);
}

/** While faults happen: one of the nodes, and a client. */
export function checkMemoryInStorm(world: World, at: number): void {
  const node = world.running[at % Math.max(1, world.running.length)];
  const client = world.clients[at % world.clients.length]!;
  for (const [owner, root] of [[node?.owner, node?.core] as const, [client.owner, client.client] as const]) {
    if (owner === undefined || root === undefined) continue;
    const scale = scaleOf(world, node ?? null);
    for (const [place, count] of holdingsOf(root, isBorder)) {
      const most = IN_STORM[place]?.(scale) ?? Number.POSITIVE_INFINITY;
      if (count > most) world.violation(`${owner.name} holds ${count} in ${place}, and the limit is ${most}`);
    }
  }
}

/** Nothing happens: one of the nodes, and two clients, hold what their members need. */
export function checkMemoryAtRest(world: World, at: number): void {
  checkTwice(world, () => {
    const node = world.running[at % world.running.length];
    const clients = [0, 1].map((i) => world.clients[(at + i) % world.clients.length]!);
    return [
      ...(node === undefined ? [] : beyondInNode(world, node, AT_REST)),
      ...clients.flatMap((client) => beyondInClient(world, client, CLIENT_AT_REST)),
    ];
  });
}

/** Everybody left a while ago. */
export function checkMemoryLeft(world: World, at: number): void {
  checkTwice(world, () => [
    ...world.running.flatMap((node) => beyondInNode(world, node, LEFT)),
    ...beyondInClient(world, world.clients[at % world.clients.length]!, {}),
  ]);
}

interface Beyond {
  /** Who holds it, and where. */
  readonly place: string;
  readonly count: number;
  readonly most: number;
}

/** What is in progress, such as a check of a token, is over at the second look. A leak is still there. */
function checkTwice(world: World, look: () => Beyond[]): void {
  const first = new Set(look().map(({ place }) => place));
  if (first.size === 0) return;
  world.loop.run(world.loop.nowMs + LOOK_AGAIN_MS);
  for (const { place, count, most } of look())
    if (first.has(place)) world.violation(`${place} holds ${count}, and ${most} are enough`);
}

function beyondInNode(world: World, node: SimulatedNode, bounds: Bounds): Beyond[] {
  const fresh = freshOf.get(world.cluster !== null);
  const known = new Set(fresh?.keys());
  const scale = scaleOf(world, node);
  const beyond: Beyond[] = [];
  for (const [place, count] of heldBy(world, node)) {
    // Masters join a cluster, and have what each master has.
    const times = world.cluster === null ? 1 : MOST_MASTERS / FIRST_MASTERS;
    const bound = (world.cluster === null ? undefined : OF_CLUSTER[place]) ?? bounds[place];
    const most = Math.max(bound?.(scale) ?? 0, Math.ceil((fresh?.get(place) ?? 0) * times));
    // A part that is made when it is needed.
    if (count <= most || (place.endsWith(' itself') && count === 1 && !known.has(place))) continue;
    beyond.push({ place: `${node.owner.name}: ${place}`, count, most });
  }
  return beyond;
}

function beyondInClient(world: World, client: SimulatedClient, bounds: Bounds): Beyond[] {
  const scale = { ...scaleOf(world, null), connections: 1 };
  const beyond: Beyond[] = [];
  for (const [place, count] of holdingsOf(client.client, isBorder)) {
    if (CLIENT_PARTS.includes(place)) continue;
    const most = bounds[place]?.(scale) ?? (place.endsWith(' itself') ? 1 : 0);
    if (count > most) beyond.push({ place: `${client.owner.name}: ${place}`, count, most });
  }
  return beyond;
}

function scaleOf(world: World, node: SimulatedNode | null): Scale {
  const revoked = recentlyRevoked(world);
  return {
    connections: node?.core.node.hub.connectionCount ?? 1,
    clients: world.clients.length,
    rooms: ROOMS.length + USER_ROOMS,
    lives: world.lives.length,
    // Each user in each room. What has ended stays for a round.
    denials: USER_ROOMS * ROOMS.length + revoked.length,
    oldTokens: revoked.filter(({ issuedBeforeMs }) => issuedBeforeMs !== undefined).length,
  };
}

function members({ connections, clients, rooms }: Scale): number {
  return Math.max(connections, clients) * rooms;
}

function perConnection(places: readonly string[]): Bounds {
  return Object.fromEntries(places.map((place) => [place, ({ connections }: Scale) => connections]));
}

function perRoom(places: readonly string[]): Bounds {
  return Object.fromEntries(places.map((place) => [place, ({ rooms }: Scale) => rooms]));
}

function perMember(places: readonly string[]): Bounds {
  return Object.fromEntries(places.map((place) => [place, members]));
}
