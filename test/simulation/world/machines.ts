/**
 * The state machines of a join and of a room's messages, at both ends: the states that there are, and what may follow each. A run counts
 * the transitions that it takes, and one that is not listed is a violation. The types of the states make sure that none is left out.
 */
import { BaseClient } from '../../../src/client/client.ts';
import { Membership } from '../../../src/client/membership.ts';
import type { RoomState } from '../../../src/client/room-events.ts';
import type { ClientState } from '../../../src/client/status.ts';
import { Cursor } from '../../../src/node/catch-up/cursor.ts';
import type { Step } from '../../../src/node/catch-up/next-step.ts';
import { Join, type JoinState } from '../../../src/node/membership/join.ts';
import { Memberships } from '../../../src/node/membership/memberships.ts';
import type { Feed, FeedState } from '../../../src/node/rooms/feed.ts';
import { Feeds } from '../../../src/node/rooms/feeds.ts';

type Table<State extends string> = Readonly<Record<State, readonly State[]>>;

/** Of a client library. */
const CLIENT: Table<ClientState> = {
  idle: ['connecting'],
  connecting: ['connected', 'waiting', 'closed'],
  connected: ['waiting', 'closed'],
  waiting: ['connecting', 'closed'],
  closed: [],
};

/** Of a room in a client library. */
const ROOM: Table<RoomState> = {
  waiting: ['joining', 'left'],
  joining: ['waiting', 'catching-up', 'refused', 'left'],
  'catching-up': ['waiting', 'joined', 'removed', 'left'],
  joined: ['waiting', 'removed', 'left'],
  refused: ['waiting', 'left'],
  removed: ['waiting', 'left'],
  left: [],
};

/** Of a join in a node, with the three ways in which it can be over. */
const JOIN: Table<Exclude<JoinState, 'over'> | 'joined' | 'failed' | 'abandoned'> = {
  waiting: ['started', 'failed', 'abandoned'],
  started: ['joined', 'failed', 'abandoned'],
  joined: [],
  failed: [],
  abandoned: [],
};

/** Of a room in a node. */
const FEED: Table<FeedState | 'closed'> = {
  opening: ['live', 'closed'],
  live: ['repairing', 'closed'],
  repairing: ['live', 'unread', 'closed'],
  unread: ['repairing', 'closed'],
  closed: [],
};

/** Of a member that catches up: for whom each step may be chosen, one without a position or one that has a place. */
const STEPS: Readonly<Record<Step, readonly ('fresh' | 'placed')[]>> = {
  leave: ['placed'],
  'next turn': ['fresh', 'placed'],
  begin: ['fresh', 'placed'],
  newest: ['fresh', 'placed'],
  enter: ['fresh'],
  limit: ['placed'],
  'go live': ['placed'],
  cut: ['placed'],
  skip: ['placed'],
  feed: ['placed'],
  read: ['fresh', 'placed'],
  reach: ['placed'],
  adopt: ['placed'],
  restart: ['placed'],
};

function stepsOf(state: 'fresh' | 'placed'): readonly string[] {
  return Object.entries(STEPS).flatMap(([step, states]) => (states.includes(state) ? [step] : []));
}

const CURSOR = { fresh: stepsOf('fresh'), placed: stepsOf('placed') };

export const MACHINES = { client: CLIENT, room: ROOM, join: JOIN, feed: FEED, cursor: CURSOR };
export type MachineName = keyof typeof MACHINES;

type AnyTable = Readonly<Record<string, readonly string[]>>;

/** What a run counts it as. */
export const nameOf = (machine: MachineName, from: string, to: string): string =>
  `${machine}: ${from} → ${to}`;

export function isListed(machine: MachineName, from: string, to: string): boolean {
  const table: AnyTable = MACHINES[machine];
  return table[from]?.includes(to) ?? false;
}

/** All that are listed: the rows of a table. A state that nothing follows has none. */
export function machineRows(): readonly (readonly [
  machine: MachineName,
  from: string,
  to: readonly string[],
])[] {
  return Object.entries(MACHINES).flatMap(([machine, table]) =>
    Object.entries(table as AnyTable)
      .filter(([, to]) => to.length > 0)
      .map(([from, to]) => [machine as MachineName, from, to] as const),
  );
}

type Taken = (machine: MachineName, from: string, to: string) => void;

/** Listens to all machines of this process. Returns what ends it. */
export function watchMachines(taken: Taken): () => void {
  const undo = [
    watchClients(taken),
    watchRooms(taken),
    watchJoins(taken),
    watchFeeds(taken),
    watchCursors(taken),
  ];
  return () => {
    for (const end of undo) end();
  };
}

function watchClients(taken: Taken): () => void {
  const known = new WeakSet<BaseClient>();
  return wrap(BaseClient.prototype, 'connect', (client) => {
    if (known.has(client)) return;
    known.add(client);
    let { state } = client.status;
    client.onStatus((status) => {
      if (status.state !== state) taken('client', state, status.state);
      state = status.state;
    });
  });
}

function watchRooms(taken: Taken): () => void {
  const known = new WeakSet<Membership>();
  return wrap(Membership.prototype, 'use', (membership) => {
    if (known.has(membership)) return;
    known.add(membership);
    watchField(membership, 'state', (from, to) => taken('room', from, to));
  });
}

function watchJoins(taken: Taken): () => void {
  const states = new WeakMap<Join, string>();
  const becomes = (join: Join, state: string) => {
    taken('join', states.get(join) ?? 'waiting', state);
    states.set(join, state);
  };
  const undo = [
    wrap(Memberships.prototype, 'start', (_, join) => becomes(join, 'started')),
    wrap(Memberships.prototype, 'joined', (_, join) => becomes(join, 'joined')),
    wrap(Memberships.prototype, 'failed', (_, join) => becomes(join, 'failed')),
    wrap(Join.prototype, 'abandon', (join) => join.state !== 'over' && becomes(join, 'abandoned')),
  ];
  return () => {
    for (const end of undo) end();
  };
}

function watchFeeds(taken: Taken): () => void {
  const known = new WeakSet<Feed>();
  const closed = new WeakSet<Feed>();
  const { open } = Feeds.prototype;
  Feeds.prototype.open = function (this: Feeds, room) {
    const feed = open.call(this, room);
    if (!known.has(feed)) {
      known.add(feed);
      watchField(feed, 'state', (from, to) => closed.has(feed) || taken('feed', from, to));
    }
    return feed;
  };
  const endOfCloses = wrap(Feeds.prototype, 'close', (feeds, feed) => {
    if (feeds.get(feed.room.name) !== feed) return;
    taken('feed', feed.state, 'closed');
    closed.add(feed);
  });
  return () => {
    Feeds.prototype.open = open;
    endOfCloses();
  };
}

function watchCursors(taken: Taken): () => void {
  const { nextStep } = Cursor.prototype;
  Cursor.prototype.nextStep = function (this: Cursor, nowMs) {
    const step = nextStep.call(this, nowMs);
    taken('cursor', this.isFresh ? 'fresh' : 'placed', step);
    return step;
  };
  return () => {
    Cursor.prototype.nextStep = nextStep;
  };
}

type Method<T, K extends keyof T> = T[K] extends (...given: infer A) => unknown ? A : never;

/** `look` is called with the object, and what the method is given, before the method runs. */
function wrap<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  look: (object: T, ...given: Method<T, K>) => unknown,
): () => void {
  const method = prototype[name] as (...given: unknown[]) => unknown;
  const put = (value: unknown) => {
    prototype[name] = value as T[K];
  };
  put(function (this: T, ...given: Method<T, K>) {
    look(this, ...given);
    return method.apply(this, given);
  });
  return () => put(method);
}

function watchField<T extends object, K extends keyof T>(
  object: T,
  field: K,
  changed: (from: T[K], to: T[K]) => void,
): void {
  let value = object[field];
  Object.defineProperty(object, field, {
    enumerable: true,
    configurable: true,
    get: () => value,
    set(next: T[K]) {
      const before = value;
      value = next;
      if (before !== next) changed(before, next);
    },
  });
}
