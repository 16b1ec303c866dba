/** What checks excuse, and for how long: nodes that cannot know of their trouble yet, and what nobody watched. */
import { expect, test } from 'vitest';
import type { Room } from '../../src/client/room.ts';
import { MemberLog } from '../support/member-log.ts';
import type { Random } from '../support/random.ts';
import { ACTIONS } from './world/actions.ts';
import { DataOrder } from './world/data-order.ts';
import { LagChecks } from './world/lag-checks.ts';
import { watchLeases } from './world/lease-checks.ts';
import { ListChecks } from './world/list-checks.ts';
import { checkOwn, noteOwn } from './world/own-checks.ts';
import { act, inWorld, pass } from './world/scenario.ts';
import { Sendings } from './world/sendings.ts';
import type { SimulatedClient } from './world/simulated-client.ts';
import type { SimulatedNode } from './world/simulated-node.ts';
import { Steady } from './world/steady.ts';
import { NAMES, ROOMS, type World } from './world/world.ts';

const ROUND_MS = 12_000;

test('a node is deaf for a room until it subscribes again, which it does soon after a message that it missed', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(1)];
    act(world, ann, () => ann.join('chat:a'));
    pass(world, 2_000);
    const node = world.nodes[0]!;
    for (const link of world.redisLinksOf(node)) {
      const channel = link.goDeaf((channels) => channels[0]);
      if (channel !== null) world.deafness.begin(link, channel);
    }
    expect(world.deafness.has(node.owner)).toBe(true);
    // In a quiet room nothing shows it.
    pass(world, 3 * ROUND_MS);
    expect(world.deafness.has(node.owner)).toBe(true);
    expect(world.deafness.has(world.nodes[1]!.owner)).toBe(false);
    act(world, bob, () => bob.publish('chat:a', 1, 0, {}));
    pass(world, ROUND_MS);
    expect(world.deafness.has(node.owner)).toBe(false);
    expect(ann.messages).toBe(1);
  }));

/** A node that lost the subscription of a room in which somebody publishes, and does nothing about it. */
function deafNode(world: World): SimulatedNode {
  const [ann, bob] = [world.addClient(0), world.addClient(1)];
  act(world, ann, () => ann.join('chat:a'));
  pass(world, 2_000);
  const node = world.nodes[0]!;
  const [link] = world.redisLinksOf(node).filter(({ isSubscribed }) => isSubscribed);
  const channel = link?.goDeaf((channels) => channels[0]) ?? '';
  world.deafness.begin(link!, channel);
  world.loop.freeze(node.owner);
  act(world, bob, () => bob.publish('chat:a', 1, 0, {}));
  return node;
}

test('a node that does not subscribe again after a message is excused for one round of checks', () =>
  inWorld((world) => {
    const node = deafNode(world);
    pass(world, 5_000);
    expect(world.deafness.has(node.owner)).toBe(true);
    pass(world, ROUND_MS);
    expect(world.deafness.has(node.owner)).toBe(false);
  }));

test('the round of checks that shows a node what it does not hear begins anew after trouble with Redis', () =>
  inWorld((world) => {
    const node = deafNode(world);
    pass(world, 8_000);
    world.redis.isFull = true;
    expect(world.deafness.has(node.owner)).toBe(true);
    world.redis.isFull = false;
    pass(world, 8_000);
    expect(world.deafness.has(node.owner)).toBe(true);
    pass(world, 4_000);
    expect(world.deafness.has(node.owner)).toBe(false);
  }));

/** A node that died: its record in the leases, as the store has it. */
function record(world: World, value: string): void {
  const { keys, nowMs } = world.keysWith(NAMES.leases())!;
  const { fields } = keys.hash(NAMES.leases(), nowMs)!;
  const { value: _, ...rest } = [...fields.values()][0]!;
  fields.set('deadnode', { ...rest, value });
}

function claimed(world: World, value = '1:7:5000:heir'): boolean {
  record(world, value);
  pass(world, 300);
  return world.violations.some((violation) => violation.startsWith('the lease of deadnode was claimed'));
}

test('a lease that is claimed soon after it was renewed is a violation', () =>
  inWorld(
    (world) => {
      watchLeases(world);
      pass(world, 10_000);
      record(world, '1:7:5000:');
      pass(world, 1_000);
      expect(claimed(world)).toBe(true);
    },
    { isCluster: true },
  ));

test('a lease may have been renewed at any time while the cluster had trouble and nobody looked', () =>
  inWorld(
    (world) => {
      watchLeases(world);
      pass(world, 10_000);
      world.cluster!.trouble();
      pass(world, 1_000);
      record(world, '1:7:5000:');
      pass(world, 5_500);
      expect(claimed(world)).toBe(false);
    },
    { isCluster: true },
  ));

test('a claim that a failover brings back is none of the term that the node took since', () =>
  inWorld(
    (world) => {
      watchLeases(world);
      pass(world, 10_000);
      record(world, '1:7:5000:');
      pass(world, 5_500);
      expect(claimed(world, '1:8:5000:heir')).toBe(false);
      record(world, '2:9:5000:');
      pass(world, 300);
      expect(claimed(world, '1:8:5000:heir')).toBe(false);
      record(world, '2:10:5000:');
      pass(world, 300);
      expect(claimed(world, '2:11:5000:heir')).toBe(true);
    },
    { isCluster: true },
  ));

function tookAnother(world: World, value: string): boolean {
  record(world, value);
  pass(world, 300);
  return world.violations.some((violation) => violation.startsWith('deadnode took another lease'));
}

test.each([
  ['a node that takes another lease while it has one is a violation', '1:7:5000:', 1_000, true],
  ['a node whose lease has lapsed may take another one', '1:7:5000:', 5_000, false],
  ['a node whose lease was claimed may take another one', '1:8:5000:heir', 100, false],
])('%s', (_, before, afterMs, isWrong) =>
  inWorld((world) => {
    watchLeases(world);
    pass(world, 11_000);
    record(world, '1:7:5000:');
    pass(world, 1_000);
    record(world, before);
    pass(world, afterMs);
    expect(tookAnother(world, '2:9:5000:')).toBe(isWrong);
  }),
);

test.each([
  ['after Redis was flushed', (world: World) => world.redis.flushAll(), {}],
  ['after Redis restarted', (world: World) => world.redis.restart(world.redis.keys), {}],
  ['after a cluster had trouble', (world: World) => world.cluster!.trouble(), { isCluster: true }],
])('%s a node may take another lease', (_, happens, options) =>
  inWorld((world) => {
    watchLeases(world);
    pass(world, 31_000);
    record(world, '1:7:5000:');
    pass(world, 500);
    happens(world);
    pass(world, 1_000);
    record(world, '1:8:5000:');
    pass(world, 200);
    expect(tookAnother(world, '2:9:5000:')).toBe(false);
  }, options),
);

test('a message without echo that was sent again to a Redis that forgot it may be missing twice', () => {
  const lackOf = (times: number, forgot: boolean) => {
    const sendings = new Sendings(() => undefined);
    const log = new MemberLog('ann', 'chat:a');
    for (let id = 1; id <= times; id++)
      sendings.frame({ direction: 'sent', frame: ['publish', id, 'chat:a', 7, { echo: false }] } as never);
    const acknowledged = [{ room: 'chat:a', payload: 7, epoch: 'epoch--2', offset: 1 }];
    const ownMessages = new Map([[7, {}]]);
    const client = { acknowledged, ownMessages, sendings, outcomes: [], stays: [{ log }] };
    noteOwn({ forgot: () => forgot } as unknown as World, client as unknown as SimulatedClient);
    expect(log.isOwn(1)).toBe(true);
    return log.mayLack;
  };
  expect([lackOf(1, true), lackOf(2, false), lackOf(2, true)]).toEqual([0, 0, 1]);
});

test('a message follows a join that is sent with it, not one that was refused and is tried again later', () =>
  inWorld((world) => {
    world.addClient(0);
    const random = { next: () => 0.3, whole: () => 1, pick: <Item>([first]: readonly Item[]) => first };
    const joinAndSay = () => ACTIONS.joinAndSay!.happen(world, random as unknown as Random);
    const [ann] = world.clients;
    pass(world, 2_000);
    joinAndSay();
    expect(ann!.afterJoins).toHaveLength(1);
    act(world, ann!, () => ann!.leave(ann!.afterJoins[0]!.log.room));
    pass(world, 1_000);
    for (const at of [0, 1]) world.cutOff.set(at, 'refused');
    for (const node of world.nodes) for (const link of world.redisLinksOf(node!)) link.cut(false);
    pass(world, 8_000);
    const before = ann!.afterJoins.length;
    joinAndSay();
    expect(ann!.afterJoins).toHaveLength(before + 1);
    pass(world, 50);
    // Refused.
    expect(ann!.afterJoins).toHaveLength(before);
    joinAndSay();
    expect(ann!.afterJoins).toHaveLength(before);
  }));

test.each([
  ['a member that its node has removed may be out for others before it knows', true, 0],
  ['a member that is out for others, and not for its node, is a violation', false, 1],
])('%s', (_, isRemoved, violations) =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(0)];
    for (const client of [ann, bob]) act(world, client, () => client.join('chat:a'));
    const steady = new Steady(world);
    const lists = new ListChecks(world, steady);
    let looks = 0;
    steady.watch(() => {
      looks++;
      lists.look();
    });
    pass(world, 20_000);
    // None of the looks falls into what follows.
    for (const before = looks; looks === before; ) pass(world, 10);
    for (const link of world.linksOfClient(ann)) link.pause();
    const { node } = world.nodes[0]!.core;
    const alone = { count: 1, users: 1, members: [{ connection: bob.connection, user: bob.user }] };
    world.loop.as(world.nodes[0]!.owner, () => {
      if (isRemoved) void node.server.removeFromRoom('chat:a', ann.user!, { reason: 'full', forMs: 60_000 });
      else
        for (const connection of node.hub.connections())
          if (connection.id === bob.connection) connection.push(['members', 'chat:a', alone]);
    });
    pass(world, 200);
    expect(bob.room('chat:a')?.members.count).toBe(1);
    lists.look();
    expect(world.violations).toHaveLength(violations);
  }),
);

test('a node whose server died without a word, and runs again, has trouble until it has found out', () =>
  inWorld(
    (world) => {
      const steady = new Steady(world);
      steady.watch(() => undefined);
      pass(world, 10_000);
      const [node] = world.nodes;
      expect(steady.ofNode(node!)).toBeGreaterThan(5_000);
      const server = world.cluster!.masterOf(NAMES.meta('chat:a'))!;
      const before = world.redisLinksOf(node!);
      world.cluster!.kill(server, 'silent');
      pass(world, 100);
      world.cluster!.restart(server);
      const isDone = () => !before.some((link) => world.redisLinksOf(node!).includes(link) && !link.isOpen);
      expect(isDone()).toBe(false);
      while (!isDone()) {
        pass(world, 250);
        expect(steady.ofNode(node!)).toBeLessThan(1_000);
      }
      pass(world, 20_000);
      expect(steady.ofNode(node!)).toBeGreaterThan(5_000);
    },
    { isCluster: true },
  ));

test('of a node that does not reach one server messages of its rooms are late by right, and of no others', () =>
  inWorld(
    (world) => {
      const cluster = world.cluster!;
      const server = cluster.masterOf(NAMES.meta('chat:a'))!;
      const other = ROOMS.find((room) => room !== 'live:a' && cluster.masterOf(NAMES.meta(room)) !== server)!;
      const [ann, bob] = [world.addClient(0), world.addClient(1)];
      for (const client of [ann, bob])
        for (const room of ['chat:a', other]) act(world, client, () => client.join(room));
      const steady = new Steady(world);
      const lags = new LagChecks(world, steady);
      steady.watch(() => lags.look());
      pass(world, 2_000);
      cluster.cutOff.set(`0 ${server.number}`, 'refused');
      cluster.trouble();
      const links = () => world.redisLinksOf(world.nodes[0]!);
      for (const link of links()) if (link.socket.remoteAddress === server.host) link.cut(false);
      pass(world, 9_000);
      const say = (room: string) => act(world, bob, () => bob.publish(room, 0, 0, {}));
      say('chat:a');
      say(other);
      pass(world, 4_000);
      expect([ann.messages, bob.messages]).toEqual([1, 2]);
      expect(world.violations).toEqual([]);
      // It does not hear the other room either, which a round of checks shows it.
      for (let at = 0; at < 6; at++) {
        for (const link of links())
          link.goDeaf((channels) => channels.find((one) => `${one}`.endsWith(other)));
        say(other);
        pass(world, 1_000);
      }
      expect(world.violations).not.toEqual([]);
      for (const violation of world.violations)
        expect(violation).toMatch(new RegExp(`^late: client-0 stands at .* in ${other}, `));
    },
    { isCluster: true },
  ));

test('a message without echo may be given in another numbering than the one that the answer names', () => {
  const givenIn = (epoch: string) => {
    const log = new MemberLog('ann', 'chat:a');
    log.event({ kind: 'joined', epoch, offset: 0, since: null, recovered: false });
    log.message(1, 7);
    const ownMessages = new Map([[7, { payload: 7, connection: '', stay: { log }, atMark: 1 }]]);
    const acknowledged = [{ room: 'chat:a', payload: 7, epoch: 'before', offset: 1 }];
    const violations: string[] = [];
    const client = { owner: { name: 'ann' }, acknowledged, ownMessages };
    const world = { clients: [client], violation: (what: string) => violations.push(what) };
    checkOwn(world as unknown as World);
    return violations.length;
  };
  expect([givenIn('before'), givenIn('after')]).toEqual([1, 0]);
});

test('older data of a member is a violation unless it passes at once', () => {
  const staysOld = (passes: boolean) => {
    const violations: string[] = [];
    const waiting: (() => void)[] = [];
    const order = new DataOrder({
      forgot: () => false,
      violation: (what) => violations.push(what),
      after: (_, work) => waiting.push(work),
    });
    const room = { name: 'chat:a', members: { members: [{ connection: 'b-1', data: 0 }] } };
    const show = (data: number) => {
      room.members.members = [{ connection: 'b-1', data }];
      order.sees({ name: 'ann', connection: 'a-1' }, room as unknown as Room);
    };
    order.connected('bob', 'b-1');
    for (const data of [1, 2]) order.says('bob', 'chat:a', data);
    for (const data of passes ? [1, 2, 1, 2] : [1, 2, 1]) show(data);
    for (const work of waiting) work();
    return violations.length > 0;
  };
  expect([staysOld(true), staysOld(false)]).toEqual([false, true]);
});

test('messages are late by right while it is not known which of them are own ones, and not for ever', () => {
  const lateAfter = (steadyMs: number, waits: boolean) => {
    const violations: string[] = [];
    const client = {
      owner: { name: 'ann' },
      client: { status: { state: 'connected', node: 'here' } },
      rooms: ['chat:a'],
      room: () => ({ state: 'joined', position: ['epoch', 1] }),
      waitsForOwn: () => waits,
      acknowledged: [{ room: 'chat:a', payload: 7, epoch: 'epoch', offset: 2, sentAtMs: 1, ackedAtMs: 1 }],
    };
    const node = { core: { node: { nodeId: 'here' } } };
    const world = {
      loop: { nowMs: 90_000 },
      clients: [client],
      running: [node],
      cluster: null,
      violation: (what: string) => violations.push(what),
    };
    const steady = { ofNode: () => steadyMs, ofClient: () => steadyMs };
    new LagChecks(world as unknown as World, steady as unknown as Steady).look();
    return violations.length > 0;
  };
  expect([lateAfter(9_000, false), lateAfter(9_000, true), lateAfter(16_000, true)]).toEqual([
    true,
    false,
    true,
  ]);
});

test('a node that could not start and was killed is started again once', () =>
  inWorld((world) => {
    world.isRedisDown = true;
    world.killNode(1, false);
    world.startNode(1);
    const failing = world.nodes[1]!;
    while (failing.state !== 'failed') pass(world, 100);
    world.killNode(1, false);
    world.isRedisDown = false;
    const before = world.lives.length;
    world.startNode(1);
    pass(world, 5_000);
    expect(world.lives.length - before).toBe(1);
    expect(world.running).toHaveLength(2);
  }));
