/** What goes wrong with a Redis Cluster, and what an operator does to it. Each ends by itself. */

import type { Random } from '../../support/random.ts';
import type { ClusterServer } from '../redis/cluster/cluster-server.ts';
import { type Fault, fault, later, ms } from './fault.ts';
import { nameOf, type SimulatedCluster } from './simulated-cluster.ts';
import { moveSlot } from './slot-moves.ts';
import { USED_SLOTS } from './used-slots.ts';
import type { World } from './world.ts';

type Happen = (world: World, cluster: SimulatedCluster, random: Random) => string | null;

function ofCluster(weight: number, happen: Happen): Fault {
  return fault(weight, (world, random) => {
    const what = world.cluster === null ? null : happen(world, world.cluster, random);
    if (what !== null) world.count('redisFaults');
    return what;
  });
}

/** Longer than it takes until all agree and follow again. */
const SETTLED_MS = 5_000;
const MOST_SERVERS = 8;

/** Nothing else happens to these servers meanwhile: what is broken while it is being moved needs an operator. */
function occupy(world: World, cluster: SimulatedCluster, servers: readonly ClusterServer[]): () => void {
  for (const server of servers) cluster.busy.add(server);
  return () =>
    later(world, SETTLED_MS, () => {
      for (const server of servers) cluster.busy.delete(server);
    });
}

function shardOf(cluster: SimulatedCluster, master: ClusterServer): ClusterServer[] {
  return [master, ...cluster.model.replicasOf(master)];
}

/** A master to which nothing happens now, nor to its replicas. */
function anyMaster(
  cluster: SimulatedCluster,
  random: Random,
  needsReplica = false,
): ClusterServer | undefined {
  return random.pick(
    cluster.masters.filter((master) => {
      const shard = shardOf(cluster, master);
      const isFree = shard.every((server) => !cluster.busy.has(server) && cluster.isWell(server));
      return isFree && (!needsReplica || shard.some(({ behind, isMaster }) => !isMaster && behind === null));
    }),
  );
}

export const CLUSTER_FAULTS: Readonly<Record<string, Fault>> = {
  moveSlots: ofCluster(5, (world, cluster, random) => {
    const source = anyMaster(cluster, random);
    const target = random.pick(
      cluster.servers.filter(
        (one) => one !== source && one.isMaster && cluster.isWell(one) && !cluster.busy.has(one),
      ),
    );
    if (source === undefined || target === undefined) return null;
    const there = USED_SLOTS.filter((slot) => source.view.owners[slot] === source.number);
    const moving = there.filter(() => random.next() < 0.5);
    if (moving.length === 0) return null;
    const over = occupy(world, cluster, [...shardOf(cluster, source), ...shardOf(cluster, target)]);
    moveSlot({ world, cluster, random, source, target, over }, moving);
    return `${moving.length} slots move from ${nameOf(source)} to ${nameOf(target)}`;
  }),
  addMaster: ofCluster(1, (_world, cluster) => {
    if (cluster.servers.length >= MOST_SERVERS) return null;
    const added = cluster.model.add();
    cluster.trouble();
    return `${nameOf(added)} joins the cluster`;
  }),
  shardHandOver: ofCluster(4, (world, cluster, random) => {
    const master = anyMaster(cluster, random, true);
    if (master === undefined) return null;
    const over = occupy(world, cluster, shardOf(cluster, master));
    const isBegun = cluster.handOver(master);
    over();
    return isBegun ? `${nameOf(master)} hands over to its replica` : null;
  }),
  killMaster: ofCluster(3, (world, cluster, random) => {
    const master = anyMaster(cluster, random);
    if (master === undefined) return null;
    const [lagMs, downMs] = [ms(random, 1, 20, 300), ms(random, 300, 6_000, 15_000)];
    const how = random.pick(['refused', 'refused', 'silent'] as const);
    const over = occupy(world, cluster, shardOf(cluster, master));
    cluster.leaveBehind(master);
    later(world, lagMs, () => {
      world.trace(`FAULT ${nameOf(master)} is killed`);
      cluster.kill(master, how);
    });
    later(world, lagMs + downMs, () => {
      cluster.restart(master);
      world.trace(`${nameOf(master)} runs again`);
      over();
    });
    return `${nameOf(master)} will be killed for ${downMs} ms (${how}); its replica lacks the last ${lagMs} ms`;
  }),
  freezeMaster: ofCluster(3, (world, cluster, random) => {
    const master = anyMaster(cluster, random);
    if (master === undefined) return null;
    const [lagMs, frozenMs] = [ms(random, 1, 20, 300), ms(random, 200, 1_500, 4_000, 9_000)];
    const over = occupy(world, cluster, shardOf(cluster, master));
    cluster.leaveBehind(master);
    later(world, lagMs, () => {
      world.trace(`FAULT ${nameOf(master)} freezes`);
      cluster.freeze(master);
    });
    later(world, lagMs + frozenMs, () => {
      world.trace(`${nameOf(master)} wakes`);
      cluster.thaw(master);
      if (master.isMaster) cluster.catchUp(master);
      over();
    });
    return `${nameOf(master)} will be frozen for ${frozenMs} ms; its replica lacks the last ${lagMs} ms`;
  }),
  isolateMaster: ofCluster(2, (world, cluster, random) => {
    const master = anyMaster(cluster, random);
    if (master === undefined) return null;
    const forMs = ms(random, 1_000, 4_000, 8_000);
    const over = occupy(world, cluster, shardOf(cluster, master));
    cluster.isolate(master);
    later(world, forMs, () => {
      cluster.rejoin(master);
      over();
    });
    return `${nameOf(master)} is cut off from the other servers for ${forMs} ms`;
  }),
  takeOverByForce: ofCluster(2, (world, cluster, random) => {
    const master = anyMaster(cluster, random, true);
    const replica = master && cluster.model.replicasOf(master)[0];
    if (master === undefined || replica === undefined) return null;
    const lagMs = ms(random, 1, 20, 300);
    const over = occupy(world, cluster, shardOf(cluster, master));
    cluster.leaveBehind(master);
    later(world, lagMs, () => {
      cluster.takeOver(replica, master);
      over();
    });
    return `${nameOf(replica)} will take over by force, without the last ${lagMs} ms`;
  }),
  killReplica: ofCluster(2, (world, cluster, random) => {
    const master = anyMaster(cluster, random, true);
    const replica = master && cluster.model.replicasOf(master)[0];
    if (replica === undefined || cluster.busy.has(replica)) return null;
    const downMs = ms(random, 500, 5_000, 20_000);
    cluster.busy.add(replica);
    cluster.kill(replica, 'refused');
    later(world, downMs, () => {
      cluster.restart(replica);
      cluster.busy.delete(replica);
    });
    return `${nameOf(replica)} is gone for ${downMs} ms`;
  }),
  noQuorum: ofCluster(1, (world, cluster, random) => {
    const { masters, servers } = cluster;
    if (masters.length < 3 || servers.some((one) => cluster.busy.has(one) || !cluster.isWell(one)))
      return null;
    const kept = new Set(shardOf(cluster, random.pick(masters)));
    const frozen = servers.filter((server) => !kept.has(server));
    const forMs = ms(random, 3_000, 6_000);
    const over = occupy(world, cluster, servers);
    for (const server of frozen) cluster.freeze(server);
    later(world, forMs, () => {
      for (const server of frozen) cluster.thaw(server);
      over();
    });
    return `${frozen.map(nameOf).join(' ')} freeze for ${forMs} ms: no majority is left`;
  }),
  slowGossip: ofCluster(2, (world, cluster, random) => {
    const forMs = ms(random, 5_000, 20_000);
    if (cluster.gossipMs > 5) return null;
    cluster.gossipMs = random.pick([300, 1_500]);
    later(world, forMs, () => {
      cluster.gossipMs = 5;
    });
    return `servers tell each other late for ${forMs} ms, by up to ${cluster.gossipMs} ms`;
  }),
  cutOffShard: ofCluster(4, (world, cluster, random) => {
    const place = random.whole(0, world.nodes.length - 1);
    const [node, server] = [world.nodes[place], random.pick(cluster.masters)];
    const key = `${place} ${server?.number}`;
    if (!node || !server || cluster.cutOff.has(key)) return null;
    const how = random.pick(['refused', 'silent'] as const);
    const forMs = ms(random, 500, 4_000, 12_000);
    cluster.cutOff.set(key, how);
    for (const link of world.redisLinksOf(node))
      if (link.socket.remoteAddress === server.host) link.cut(how === 'silent');
    cluster.trouble();
    later(world, forMs, () => {
      cluster.cutOff.delete(key);
      cluster.trouble();
    });
    return `${node.owner.name} cannot reach ${nameOf(server)} for ${forMs} ms (${how})`;
  }),
  shardRestart: ofCluster(2, (world, cluster, random) => {
    const master = anyMaster(cluster, random);
    if (master === undefined) return null;
    const downMs = ms(random, 50, 400);
    const over = occupy(world, cluster, shardOf(cluster, master));
    cluster.kill(master, 'refused');
    later(world, downMs, () => {
      cluster.restart(master);
      over();
    });
    return `${nameOf(master)} restarts in ${downMs} ms, with its data`;
  }),
  shardScripts: ofCluster(2, (_world, cluster, random) => {
    const master = random.pick(cluster.masters);
    master?.redis.flushScripts();
    return master === undefined ? null : `${nameOf(master)} forgets its scripts`;
  }),
  shardFull: ofCluster(2, (world, cluster, random) => {
    const master = random.pick(cluster.masters);
    if (master === undefined || master.redis.isFull) return null;
    const forMs = ms(random, 100, 2_000, 6_000);
    master.redis.isFull = true;
    cluster.trouble();
    later(world, forMs, () => {
      master.redis.isFull = false;
      cluster.trouble();
    });
    return `${nameOf(master)} is full for ${forMs} ms`;
  }),
  shardClock: ofCluster(1, (_world, cluster, random) => {
    const server = random.pick(cluster.servers)!;
    const byMs = ms(random, 50, 2_000) * random.pick([-1, 1]);
    cluster.ownerOf(server).wallAheadMs += byMs;
    return `the clock of ${nameOf(server)} jumps by ${byMs} ms`;
  }),
};
