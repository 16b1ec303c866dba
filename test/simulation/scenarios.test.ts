/** What runs of the simulation found, each as the few steps that are enough. */
import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { slotOf } from '../../src/backplane/redis/keys/slots.ts';
import { Link } from '../../src/backplane/redis/link/link.ts';
import { systemClock } from '../../src/util/clock.ts';
import { silentLog } from '../../src/util/log.ts';
import { redisAddress } from '../../src/util/redis-url.ts';
import type { ClusterServer } from './redis/cluster/cluster-server.ts';
import type { Keyspace } from './redis/keyspace.ts';
import { checkCalm, checkMessages } from './world/checks.ts';
import { holdingsOf } from './world/holdings.ts';
import { isBorder } from './world/memory-checks.ts';
import { checkResets } from './world/reset-checks.ts';
import { act, inWorld, pass } from './world/scenario.ts';
import type { SimulatedClient } from './world/simulated-client.ts';
import { moveSlot } from './world/slot-moves.ts';
import { FORMER_HOST, NAMES, ROOMS, type World } from './world/world.ts';

/** One joins, one leaves and one says something else; then the store goes on from what it had before. */
function goBack(replace: (world: World, older: Keyspace) => void): Promise<void> {
  return inWorld((world) => {
    const [ann, bob, eve] = [world.addClient(), world.addClient(), world.addClient()];
    act(world, ann, () => ann.join('chat:a', { presence: { n: 1 } }));
    act(world, bob, () => bob.join('chat:a'));
    pass(world, 2_000);
    const older = world.redis.keys.copy();
    act(world, bob, () => bob.leave('chat:a'));
    act(world, eve, () => eve.join('chat:a'));
    act(world, ann, () => ann.setPresence('chat:a', { n: 2 }));
    pass(world, 2_000);
    replace(world, older);
    pass(world, 20_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
    expect(ann.room('chat:a')?.members.members).toHaveLength(2);
  });
}

test('after a failover that lost a join and a leave, the members are those who are there', () =>
  goBack((world, older) => world.redis.promote(older, 'the replica')));

test('who left in writes that a failover lost is removed, though the room becomes empty right after it', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(0)];
    act(world, ann, () => ann.join('chat:a'));
    pass(world, 2_000);
    const older = world.redis.keys.copy();
    act(world, ann, () => ann.leave('chat:a'));
    pass(world, 1_000);
    world.redis.promote(older, 'the replica');
    act(world, bob, () => bob.join('chat:a'));
    pass(world, 10);
    act(world, bob, () => bob.leave('chat:a'));
    pass(world, 20_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
  }));

/** Two members, on a node each, of a room whose server is another one than that of the lists of rooms. Its replica gets nothing any more. */
function joinedBesideTheList(world: World) {
  const cluster = world.cluster!;
  const [ann, bob] = [world.addClient(0), world.addClient(1)];
  const serverOf = (room: string) => cluster.masterOf(NAMES.meta(room))!;
  const room = ROOMS.find((one) => serverOf(one) !== cluster.masterOf(NAMES.leases()))!;
  for (const client of [ann, bob]) act(world, client, () => client.join(room));
  pass(world, 2_000);
  const master = serverOf(room);
  cluster.leaveBehind(master);
  return { cluster, ann, bob, room, master };
}

/** The same, and ann has left in a write that the failover lost. */
function leftInALostWrite(world: World) {
  const { cluster, ann, bob, room, master } = joinedBesideTheList(world);
  act(world, ann, () => ann.leave(room));
  pass(world, 2_000);
  cluster.takeOver(cluster.model.replicasOf(master)[0]!, master);
  return { bob, room };
}

test('who left in a write that a failover lost is removed where the room has a server of its own, and the list of rooms another', () =>
  inWorld(
    (world) => {
      const { bob, room } = leftInALostWrite(world);
      pass(world, 20_000);
      checkCalm(world);
      expect(world.violations).toEqual([]);
      expect(bob.room(room)?.members.members).toHaveLength(1);
    },
    { isCluster: true },
  ));

test.each([
  ['a node that died', (world: World) => world.killNode(0, false)],
  ['a node that stopped', (world: World) => world.drainNode(0)],
])(
  'members of %s are removed, though a failover loses that, and the list of rooms has a server of its own',
  (_, end) =>
    inWorld(
      (world) => {
        const { cluster, bob, room, master } = joinedBesideTheList(world);
        end(world);
        pass(world, 12_000);
        expect(bob.room(room)?.members.members).toHaveLength(2);
        cluster.takeOver(cluster.model.replicasOf(master)[0]!, master);
        world.startNode(0);
        pass(world, 80_000);
        checkCalm(world);
        expect(world.violations).toEqual([]);
        expect(bob.room(room)?.members.members).toHaveLength(2);
      },
      { isCluster: true },
    ),
);

test('a node that stops right after a failover lost its leave is swept', () =>
  inWorld(
    (world) => {
      const { bob, room } = leftInALostWrite(world);
      world.drainNode(0);
      // A lease, and a round of looks at leases.
      pass(world, 8_000);
      expect(bob.room(room)?.members.members).toHaveLength(1);
      world.startNode(0);
      pass(world, 20_000);
      checkCalm(world);
      expect(world.violations).toEqual([]);
    },
    { isCluster: true },
  ));

test('after a restart from an older disk the members are those who are there', () =>
  goBack((world, older) => world.redis.restart(older)));

test('a member list is read again when its room turns out to be deaf', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(1)];
    for (const client of [ann, bob]) act(world, client, () => client.join('chat:a'));
    pass(world, 2_000);
    const [node] = world.nodes;
    for (const link of node ? world.redisLinksOf(node) : []) link.goDeaf((channels) => channels[0]);
    act(world, bob, () => bob.setPresence('chat:a', { n: 1 }));
    pass(world, 500);
    // Only a message shows that its node hears nothing.
    act(world, bob, () => bob.publish('chat:a', 1, 0, {}));
    pass(world, 20_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
    expect(ann.messages).toBe(1);
  }));

test('who is kept out of a room stays out when Redis is flushed and those who knew of it die seconds later', () =>
  inWorld((world) => {
    const ann = world.addClient(0);
    const [first] = world.nodes;
    const isKnown = (at: number) => (world.nodes[at]?.core.node.keptOut.leftMs('ann', 'chat:a') ?? 0) > 0;
    world.loop.as(first!.owner, () => {
      void first!.core.node.server.removeFromRoom('chat:a', 'ann', { reason: '', forMs: 600_000 });
    });
    act(world, ann, () => ann.join('chat:b'));
    pass(world, 2_000);
    world.redis.flushAll();
    pass(world, 3_000);
    for (const at of [0, 1]) world.killNode(at, false);
    world.startNode(0);
    pass(world, 3_000);
    expect(isKnown(0)).toBe(true);
  }));

test('a member list is read again when the link for reads comes back last', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(1)];
    for (const client of [ann, bob]) act(world, client, () => client.join('live:a'));
    pass(world, 2_000);
    const [node] = world.nodes;
    world.cutOff.set(0, 'silent');
    for (const link of node ? world.redisLinksOf(node) : []) link.cut(true);
    pass(world, 600);
    act(world, bob, () => bob.leave('live:a'));
    pass(world, 100);
    world.cutOff.clear();
    pass(world, 40_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
  }));

test('a planned failover costs no reset: the former primary tells that it handed over everything', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(), world.addClient()];
    let payload = 0;
    act(world, ann, () => ann.join('chat:a'));
    act(world, bob, () => bob.publish('chat:a', ++payload, 20, {}));
    pass(world, 2_000);
    world.formerRedis = world.redis.promote(world.redis.keys, 'the replica');
    // Nodes are back, and ask it, before it follows.
    pass(world, 400);
    act(world, bob, () => bob.publish('chat:a', ++payload, 20, {}));
    world.formerRedis.follow(world.redis, true);
    world.redis.replicas = [FORMER_HOST];
    pass(world, 20_000);
    act(world, ann, () => ann.publish('chat:a', ++payload, 20, {}));
    pass(world, 5_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
    expect(ann.acknowledged[0]).toMatchObject({ epoch: bob.acknowledged[0]?.epoch, offset: payload });
  }));

test('a former primary that had more than its successor does not keep a room in its numbering', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(), world.addClient()];
    let payload = 0;
    act(world, ann, () => ann.join('chat:a'));
    act(world, bob, () => bob.publish('chat:a', ++payload, 20, {}));
    pass(world, 2_000);
    const { offset } = world.redis;
    const replica = world.redis.keys.copy();
    act(world, bob, () => bob.publish('chat:a', ++payload, 20, {}));
    pass(world, 2_000);
    world.hasForgotten = true;
    world.formerRedis = world.redis.promote(replica, 'the replica', offset);
    world.formerRedis.follow(world.redis, false);
    world.redis.replicas = [FORMER_HOST];
    pass(world, 20_000);
    act(world, ann, () => ann.publish('chat:a', ++payload, 20, {}));
    pass(world, 5_000);
    checkCalm(world);
    expect(world.violations).toEqual([]);
    expect(bob.acknowledged.map(({ offset }) => offset)).toEqual([1, 2]);
    expect(ann.acknowledged[0]?.offset).toBe(2);
    expect(ann.acknowledged[0]?.epoch).not.toBe(bob.acknowledged[0]?.epoch);
  }));

test('who begins at a new start gets nothing of the numbering that a flush ended and its node still has', () =>
  inWorld((world) => {
    const [eve, ann] = [world.addClient(0), world.addClient(0)];
    const bob = clientOfUser(world);
    let payload = 0;
    act(world, eve, () => eve.join('chat:a'));
    for (let i = 0; i < 2; i++) act(world, ann, () => ann.publish('chat:a', ++payload, 20, {}));
    pass(world, 2_000);
    world.redis.flushAll();
    world.hasForgotten = true;
    act(world, bob, () => bob.join('chat:a', { begin: 'after what was acknowledged' }));
    pass(world, 1_000);
    expect(bob.isIn('chat:a')).toBe(true);
    expect(bob.messages).toBe(0);
    act(world, ann, () => ann.publish('chat:a', ++payload, 20, {}));
    pass(world, 20_000);
    checkCalm(world);
    checkMessages(world);
    expect(world.violations).toEqual([]);
    expect([eve.messages, bob.messages]).toEqual([3, 1]);
  }));

function clientOfUser(world: World): SimulatedClient {
  const client = world.addClient(0);
  return client.user === null ? clientOfUser(world) : client;
}

test('a message that its publisher wants no echo of does not come from the store either, when the node reads the room anew', () =>
  inWorld((world) => {
    const [ann, bob] = [world.addClient(0), world.addClient(0)];
    pass(world, 2_000);
    act(world, ann, () => {
      ann.publish('live:a', 1, 0, { conflateKey: 'k1', echo: false });
      ann.publish('live:a', 2, 0, { conflateKey: 'k2' });
    });
    pass(world, 1_000);
    for (const client of [ann, bob]) act(world, client, () => client.join('live:a', { last: 9 }));
    pass(world, 2_000);
    expect(world.violations).toEqual([]);
    expect([ann, bob].map(({ stays }) => stays[0]?.log.payloads)).toEqual([[2], [1, 2]]);
  }));

test('what a replica hears late of its master, and passes on when it has taken over, is given once', () =>
  inWorld(
    (world) => {
      const cluster = world.cluster!;
      const [ann, bob] = [world.addClient(0), world.addClient(1)];
      for (const client of [ann, bob]) act(world, client, () => client.join('live:a'));
      pass(world, 2_000);
      cluster.gossipMs = 3_000;
      for (let number = 1; number <= 100; number++) {
        act(world, bob, () => bob.signal('live:a', number, true));
        act(world, bob, () => bob.publish('live:a', number, 0, {}));
        pass(world, 5);
      }
      pass(world, 200);
      const master = cluster.masterOf(NAMES.meta('live:a'))!;
      cluster.takeOver(cluster.model.replicasOf(master)[0]!, master);
      pass(world, 20_000);
      expect(world.violations).toEqual([]);
      for (const { signals, messages } of [ann, bob]) expect([signals, messages]).toEqual([100, 100]);
    },
    { isCluster: true },
  ));

test('slots cost no reset that the last ones of a master were, and that move to one which was promoted before', () =>
  inWorld(
    (world) => {
      const cluster = world.cluster!;
      const [ann, bob] = [world.addClient(0), world.addClient(1)];
      for (const client of [ann, bob]) act(world, client, () => client.join('chat:a'));
      const slot = slotOf(NAMES.meta('chat:a'));
      const move = (target: ClusterServer) => {
        const source = cluster.masterOf(NAMES.meta('chat:a'))!;
        moveSlot({ world, cluster, random: world.random, source, target, over: () => undefined }, [slot]);
        pass(world, 5_000);
        act(world, ann, () => ann.publish('chat:a', ann.messages + 1, 0, {}));
        pass(world, 2_000);
      };
      pass(world, 2_000);
      const added = cluster.model.add();
      move(added);
      const others = cluster.masters.filter((one) => one !== added);
      const hasRooms = (one: ClusterServer) =>
        ROOMS.some((room) => cluster.masterOf(NAMES.meta(room)) === one);
      cluster.handOver(others.find(hasRooms)!);
      pass(world, 5_000);
      // A node that sleeps meanwhile compares what it knew of the master; the epoch that a clear began is none that it knew.
      const [awake, asleep] = world.nodes;
      world.loop.freeze(asleep!.owner);
      move(cluster.masters.find((one) => !others.includes(one) && one !== added)!);
      expect(added.isMaster).toBe(false);
      const cleared = world.clears.begin('chat:a');
      world.loop.as(awake!.owner, () => {
        void awake!.core.node.server.clearHistory('chat:a').then((position) => cleared(position?.[0] ?? ''));
      });
      pass(world, 1_000);
      world.loop.thaw(asleep!.owner);
      pass(world, 20_000);
      checkCalm(world);
      checkResets(world);
      expect(world.violations).toEqual([]);
      expect(ann.messages).toBe(2);
    },
    { isCluster: true },
  ));

test.each([false, true])(
  'slots that left a server before it starts again cost a reset only if a node slept through both: %s',
  (sleeps) =>
    inWorld(
      (world) => {
        const cluster = world.cluster!;
        const [ann, bob] = [world.addClient(0), world.addClient(1)];
        for (const client of [ann, bob]) act(world, client, () => client.join('chat:a'));
        pass(world, 1_000);
        act(world, ann, () => ann.publish('chat:a', 1, 0, {}));
        pass(world, 4_000);
        const asleep = world.nodes[1]!.owner;
        if (sleeps) world.loop.freeze(asleep);
        const key = NAMES.meta('chat:a');
        const source = cluster.masterOf(key)!;
        const target = cluster.masters.find((one) => one !== source)!;
        moveSlot({ world, cluster, random: world.random, source, target, over: () => undefined }, [
          slotOf(key),
        ]);
        pass(world, 2_000);
        expect(cluster.masterOf(key)).toBe(target);
        cluster.kill(source, 'refused');
        pass(world, 200);
        cluster.restart(source);
        pass(world, 4_000);
        world.loop.thaw(asleep);
        pass(world, 20_000);
        checkCalm(world);
        checkResets(world);
        expect(world.violations).toEqual([]);
        expect(world.mayRenumber('chat:a')).toBe(sleeps);
        const kinds = ann.stays.flatMap(({ log }) => log.marks.map(({ event }) => event.kind));
        expect(kinds.includes('reset')).toBe(sleeps);
      },
      { isCluster: true },
    ),
);

test('a node hears itself on a master that has no partition, only what is one for the whole cluster', () =>
  inWorld(
    (world) => {
      const cluster = world.cluster!;
      const [source, target] = [cluster.masterOf(NAMES.leases())!, cluster.model.add()];
      const move = { world, cluster, random: world.random, source, target, over: () => undefined };
      moveSlot(move, [NAMES.slotOfNodes]);
      pass(world, 5_000);
      expect(cluster.masterOf(NAMES.leases())).toBe(target);
      // What is asked for again and again, and what is wanted: signals.
      const asked = () =>
        world.running.map(({ core }) => {
          const held = holdingsOf(core, isBorder);
          return [held.get('Astray.#subscriptions'), held.get('Wanted.#rooms')];
        });
      const well = [0, 1];
      expect(asked()).toEqual([well, well]);
      // It has a partition too, and then no more.
      const [partition] = ROOMS.map((room) => NAMES.partitionOf(room));
      const former = cluster.masterOf(NAMES.metaHeads[partition!]!)!;
      moveSlot({ ...move, source: former }, [NAMES.slotOfPartition(partition!)]);
      pass(world, 5_000);
      moveSlot({ ...move, source: target, target: former }, [NAMES.slotOfPartition(partition!)]);
      pass(world, 5_000);
      expect(asked()).toEqual([well, well]);
      checkCalm(world);
      expect(world.violations).toEqual([]);
    },
    { isCluster: true },
  ));

test('a master that hands over costs a reset where nodes cannot reach it, and none where they can', () =>
  inWorld(
    (world) => {
      const cluster = world.cluster!;
      const ann = world.addClient();
      const key = NAMES.meta('chat:a');
      const epoch = () => ann.acknowledged.at(-1)?.epoch;
      const publish = (payload: number) => {
        act(world, ann, () => ann.publish('chat:a', payload, 0, {}));
        pass(world, 3_000);
        return epoch();
      };
      act(world, ann, () => ann.join('chat:a'));
      const first = publish(1);
      expect(cluster.handOver(cluster.masterOf(key)!)).toBe(true);
      pass(world, 10_000);
      expect(publish(2)).toBe(first);
      expect(world.mayRenumber('chat:a')).toBe(false);
      const former = cluster.masterOf(key)!;
      for (const [place, node] of world.nodes.entries()) {
        cluster.cutOff.set(`${place} ${former.number}`, 'refused');
        for (const link of world.redisLinksOf(node!))
          if (link.socket.remoteAddress === former.host) link.cut(false);
      }
      expect(cluster.handOver(former)).toBe(true);
      pass(world, 10_000);
      cluster.cutOff.clear();
      pass(world, 20_000);
      expect(publish(3)).not.toBe(first);
      checkCalm(world);
      checkResets(world);
      expect(world.violations).toEqual([]);
    },
    { isCluster: true },
  ));

test('a link that many find out not to work is dropped once', () =>
  inWorld((world) => {
    const node = world.nodes[0]!;
    const told: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => told.push(message) };
    const common = { nodeId: 'twolinks', commandTimeoutMs: 2_000, metrics: silentMetrics };
    const address = redisAddress('redis://203.0.113.1:6379');
    let ups = 0;
    const watcher = { up: () => ups++, down: () => undefined };
    world.loop.as(node.owner, () => {
      const link = new Link('subscribe', { ...common, address, clock: systemClock, log }, watcher);
      void link.connect(1_000).then(() => {
        for (let i = 0; i < 20; i++) link.reconnect('subscribing failed');
        world.loop.after(1_000, () => link.close());
      });
    });
    pass(world, 3_000);
    expect([ups, told]).toEqual([2, ['redis link dropped: reconnecting', 'redis link is down']]);
  }));

test('who adds listeners again and again is found, and who sleeps again and again on a signal adds none', () =>
  inWorld((world) => {
    const { owner } = world.nodes[0]!;
    const { signal } = new AbortController();
    const sleep = async () => {
      for (let i = 0; i < 20; i++) await delay(10, undefined, { signal });
    };
    world.loop.as(owner, () => void sleep());
    pass(world, 1_000);
    expect(world.violations).toEqual([]);
    const emitter = new EventEmitter();
    world.loop.as(owner, () => {
      for (let i = 0; i < 20; i++) emitter.on('end', () => undefined);
    });
    pass(world, 1);
    expect(world.violations).toEqual([expect.stringMatching(/MaxListeners.* 11 end listeners/)]);
  }));

test('whoever changes after a flush that its node has not noticed is removed with the node', () =>
  inWorld((world) => {
    const member = world.addClient(0);
    act(world, member, () => member.join('chat:a'));
    pass(world, 3_000);
    world.redis.flushAll();
    act(world, member, () => member.setPresence('chat:a', { n: 1 }));
    pass(world, 20);
    world.killNode(0, false);
    act(world, member, () => member.close());
    pass(world, 30_000);
    const { keys, nowMs } = world.keysWith(NAMES.presence('chat:a'))!;
    expect(keys.hash(NAMES.presence('chat:a'), nowMs)).toBeUndefined();
  }));
