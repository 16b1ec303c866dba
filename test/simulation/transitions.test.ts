/** Every transition of `world/machines.ts` is taken: one by one. */
import { expect, test } from 'vitest';
import type { Room } from '../../src/client/room.ts';
import type { Position } from '../../src/protocol/frames.ts';
import { inTask } from './in-task.ts';
import { machineRows, nameOf } from './world/machines.ts';
import type { Settings } from './world/settings.ts';
import type { SimulatedClient } from './world/simulated-client.ts';
import { World } from './world/world.ts';

/** Taken by long runs alone: see the table in README.md. */
const RARE: readonly string[] = [
  nameOf('cursor', 'fresh', 'next turn'),
  nameOf('cursor', 'placed', 'next turn'),
  // For members who may not read history.
  nameOf('cursor', 'placed', 'cut'),
];

const taken = new Map<string, number>();

function add(counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) taken.set(name, (taken.get(name) ?? 0) + count);
}

/** Two clients of one node, and another node. */
class Stage {
  readonly world: World;
  readonly ann: SimulatedClient;
  readonly bob: SimulatedClient;
  #payload = 0;

  constructor(slowReaders: Settings['slowReaders']) {
    this.world = new World({ seed: 5, nodes: 2, clients: 3, settings: { slowReaders } });
    this.pass(3_000);
    this.ann = this.#addUser(0);
    this.bob = this.#addUser(1);
    this.pass(2_000);
  }

  #addUser(place: number): SimulatedClient {
    for (;;) {
      const client = this.world.addClient(place);
      const others = this.world.clients.filter((other) => other !== client);
      if (client.user !== null && others.every(({ user }) => user !== client.user)) return client;
    }
  }

  pass(milliseconds: number, isOver?: () => boolean): void {
    this.world.loop.run(this.world.loop.nowMs + milliseconds, isOver);
  }

  by(client: SimulatedClient, work: () => void): void {
    this.world.loop.as(client.owner, work);
  }

  room(client: SimulatedClient, name: string, options = {}): Room {
    let room!: Room;
    this.by(client, () => {
      room = client.client.room(name, { members: true, ...options });
    });
    return room;
  }

  leave(client: SimulatedClient, room: Room): void {
    this.by(client, () => room.leave());
  }

  /** Messages that are stored. */
  publish(client: SimulatedClient, room: string, count: number, bytes = 0): void {
    this.by(client, () => {
      for (let i = 0; i < count; i++) client.publish(room, ++this.#payload, bytes, {});
    });
    this.pass(1_000);
  }

  until(machine: Parameters<typeof nameOf>[0], from: string, to: string): void {
    const name = nameOf(machine, from, to);
    const before = this.world.counts[name] ?? 0;
    const isTaken = () => (this.world.counts[name] ?? 0) > before;
    this.pass(30_000, isTaken);
    expect(isTaken(), name).toBe(true);
  }

  removed(room: string, user: string, forMs: number): void {
    const [node] = this.world.running;
    this.world.loop.as(node!.owner, () => {
      void node!.core.node.server.removeFromRoom(room, user, { reason: '', forMs });
    });
  }

  cut(client: SimulatedClient): void {
    for (const link of this.world.linksOfClient(client)) link.cut('ECONNRESET');
  }

  cutRedis(place: number): void {
    const node = this.world.nodes[place];
    for (const link of node ? this.world.redisLinksOf(node) : []) link.cut(false);
  }
}

function onStage(
  act: (stage: Stage) => void,
  slowReaders: Settings['slowReaders'] = 'resume',
): Promise<void> {
  return inTask(() => {
    const stage = new Stage(slowReaders);
    try {
      act(stage);
      expect(stage.world.violations).toEqual([]);
      add(stage.world.counts);
    } finally {
      stage.world.dispose();
    }
  });
}

test('a client is closed while it connects, while it waits, and while it is connected', () =>
  onStage((stage) => {
    const { ann, bob, world } = stage;
    const eve = world.addClient(0);
    stage.by(eve, () => eve.close());
    stage.room(bob, 'chat:a');
    stage.pass(1_000);
    world.offline.add(bob.owner);
    stage.cut(bob);
    stage.until('room', 'joined', 'waiting');
    stage.until('client', 'connecting', 'waiting');
    for (const client of [ann, bob]) stage.by(client, () => client.close());
  }));

test('a room is left in each state, and joined again after it was refused or ended', () =>
  onStage((stage) => {
    const { ann, bob } = stage;
    stage.leave(ann, stage.room(ann, 'chat:a'));
    stage.pass(1_000);
    stage.removed('chat:a', ann.user!, 5_000);
    stage.pass(1_000);
    const refused = stage.room(ann, 'chat:a');
    stage.until('room', 'joining', 'refused');
    stage.by(ann, () => refused.rejoin());
    stage.until('room', 'joining', 'refused');
    stage.leave(ann, refused);
    const ended = stage.room(bob, 'chat:b');
    stage.until('room', 'catching-up', 'joined');
    stage.removed('chat:b', bob.user!, 0);
    stage.until('room', 'joined', 'removed');
    stage.by(bob, () => ended.rejoin());
    stage.until('room', 'catching-up', 'joined');
    stage.removed('chat:b', bob.user!, 1_000);
    stage.until('room', 'joined', 'removed');
    stage.leave(bob, ended);
    stage.world.offline.add(ann.owner);
    stage.cut(ann);
    stage.until('client', 'connected', 'waiting');
    stage.leave(ann, stage.room(ann, 'short:a'));
  }));

test('a member loses its connection, its place or its wish while it catches up', () =>
  onStage((stage) => {
    const { ann, bob, world } = stage;
    const log = stage.room(bob, 'chat:a');
    for (let i = 0; i < 10; i++) stage.publish(bob, 'chat:a', 10, 20_000);
    stage.pass(2_000);
    const [epoch] = log.position as Position;
    // It reads nothing while it is fed: then it has much to read, and more comes only when it has read that.
    const catchUp = (meanwhile?: () => void) => {
      const links = world.linksOfClient(ann);
      for (const link of links) link.pause();
      const room = stage.room(ann, 'chat:a', { since: [epoch, 1] });
      stage.pass(1_000);
      meanwhile?.();
      stage.pass(1_000);
      for (const link of links) link.resume();
      stage.until('room', 'joining', 'catching-up');
      return room;
    };
    stage.leave(ann, catchUp());
    stage.leave(ann, stage.room(ann, 'chat:b'));
    const cut = catchUp();
    stage.cut(ann);
    stage.until('room', 'catching-up', 'waiting');
    stage.until('room', 'waiting', 'joining');
    stage.cut(ann);
    stage.until('room', 'joining', 'waiting');
    stage.until('room', 'catching-up', 'joined');
    stage.leave(ann, cut);
    stage.pass(1_000);
    catchUp(() => stage.removed('chat:a', ann.user!, 0));
    stage.pass(5_000);
  }));

test('a join fails, or is abandoned, while its history is read', () =>
  onStage((stage) => {
    const { ann, bob, world } = stage;
    const log = stage.room(bob, 'chat:a');
    stage.publish(bob, 'chat:a', 30);
    const [epoch] = log.position as Position;
    // The other node remembers nothing of that.
    const open = stage.room(ann, 'chat:a');
    stage.pass(2_000);
    stage.leave(ann, open);
    const failed = stage.room(ann, 'chat:a', { since: [epoch, 2] });
    stage.until('join', 'waiting', 'started');
    stage.cutRedis(0);
    stage.until('join', 'started', 'failed');
    stage.leave(ann, failed);
    stage.pass(20_000);
    const abandoned = stage.room(ann, 'chat:a', { since: ['another1', 2] });
    stage.until('join', 'waiting', 'started');
    world.loop.freeze(world.redisOwner);
    stage.pass(100);
    stage.leave(ann, abandoned);
    stage.until('join', 'started', 'abandoned');
    world.loop.thaw(world.redisOwner);
    stage.pass(10_000);
  }));

test('a feed is closed while it opens, while it is read, and when its read has failed', () =>
  onStage((stage) => {
    const { ann, world } = stage;
    for (const state of ['repairing', 'unread'] as const) {
      const room = stage.room(ann, 'chat:a');
      stage.pass(3_000);
      stage.leave(ann, room);
      // Rooms without members are closed after five seconds, and reads time out after two.
      stage.pass(state === 'repairing' ? 3_800 : 1_000);
      stage.cutRedis(0);
      stage.until('feed', 'live', 'repairing');
      world.loop.freeze(world.redisOwner);
      if (state === 'unread') {
        stage.until('feed', 'repairing', 'unread');
        world.cutOff.set(0, 'refused');
        stage.cutRedis(0);
      }
      stage.until('feed', state, 'closed');
      world.loop.thaw(world.redisOwner);
      if (state === 'unread') {
        stage.leave(ann, stage.room(ann, 'short:a'));
        stage.until('feed', 'opening', 'closed');
      }
      world.cutOff.clear();
      stage.pass(20_000);
    }
  }));

test('a member begins wherever it says that it stands', () =>
  onStage((stage) => {
    const { ann, bob } = stage;
    const log = stage.room(bob, 'chat:a');
    const live = stage.room(bob, 'live:a');
    stage.pass(1_000);
    stage.publish(bob, 'chat:a', 30);
    stage.by(bob, () => void bob.client.publish('live:a', 1, { conflateKey: 'k1' }));
    stage.pass(1_000);
    const [epoch, offset] = log.position as Position;
    const enter = (name: string, options: object, step: string, from = 'placed') => {
      const room = stage.room(ann, name, options);
      stage.until('cursor', from, step);
      stage.pass(2_000);
      stage.leave(ann, room);
      stage.pass(500);
    };
    enter('chat:a', { last: 3 }, 'read', 'fresh');
    enter('chat:a', { last: 3 }, 'enter', 'fresh');
    enter('chat:a', { since: [epoch, 1], last: 3 }, 'limit');
    enter('chat:a', { since: [epoch, offset + 20] }, 'reach');
    enter('chat:a', { since: ['another1', 0] }, 'adopt');
    enter('chat:a', { since: ['another1', 7] }, 'restart');
    enter('live:a', { since: ['another1', 7] }, 'begin');
    enter('live:a', { since: ['another1', 7], last: 3 }, 'newest');
    enter('live:a', { last: 3 }, 'newest', 'fresh');
    expect(live.state).toBe('joined');
  }));

for (const [slowReaders, step] of [
  ['latest', 'skip'],
  ['disconnect', 'leave'],
] as const) {
  test(`a member that is too slow for a room with slowReaders: ${slowReaders} takes the step "${step}"`, () =>
    onStage((stage) => {
      const { ann, bob, world } = stage;
      stage.room(ann, 'chat:b');
      stage.room(bob, 'chat:b');
      stage.pass(1_000);
      const links = world.linksOfClient(ann);
      for (const link of links) link.pause();
      for (let i = 0; i < 4; i++) stage.publish(bob, 'chat:b', 10, 20_000);
      for (const link of links) link.resume();
      stage.until('cursor', 'placed', step);
      stage.pass(5_000);
    }, slowReaders));
}

test('those are all transitions that there are, but for rare ones', () => {
  const missing = machineRows().flatMap(([machine, from, to]) =>
    to.map((state) => nameOf(machine, from, state)).filter((name) => !taken.has(name)),
  );
  expect(missing.filter((name) => !RARE.includes(name))).toEqual([]);
});
