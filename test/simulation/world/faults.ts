/** What goes wrong. Each ends by itself: a storm that is over leaves a world that can recover. */
import type { Random } from '../../support/random.ts';
import type { RedisModel } from '../redis/server.ts';
import { publishTo } from './actions.ts';
import { CLUSTER_FAULTS } from './cluster-faults.ts';
import { drawOldDisk, startFromOldDisk } from './disk-faults.ts';
import { type Fault, fault, later, ms } from './fault.ts';
import { leases } from './lease-checks.ts';
import type { Owner } from './loop.ts';
import { FORMER_HOST, ROOMS, type World } from './world.ts';

function freeze(world: World, owner: Owner, forMs: number): void {
  world.loop.freeze(owner);
  later(world, forMs, () => world.loop.thaw(owner));
}

function place(world: World, random: Random): number {
  return random.whole(0, world.nodes.length - 1);
}

/** How many times a fault may be stacked before it is over: one Redis fails over once at a time. */
const busy = new WeakMap<World, Set<string>>();

function once(world: World, what: string, forMs: number): boolean {
  const now = busy.get(world) ?? new Set();
  busy.set(world, now);
  if (now.has(what)) return false;
  now.add(what);
  later(world, forMs, () => now.delete(what));
  return true;
}

const WAKE_LOOK_MS = 0.5;
/** Of the time for which keys are remembered. */
const TOLERATED_SHARE = 0.05;

function followLater(world: World, former: RedisModel, random: Random, hadAll: boolean): void {
  later(world, ms(random, 10, 60, 400), () => {
    if (world.formerRedis !== former) return;
    former.follow(world.redis, hadAll);
    world.redis.replicas = [FORMER_HOST];
  });
}

const LONG_AWAY_MS = 40_000;
const SHORT_WINDOW_MS = 60_000;

/** Where keys are forgotten soon, some are away for longer than that. */
function awayMs({ settings }: World, random: Random): number {
  const longMs = settings.dedupWindowMs < SHORT_WINDOW_MS ? LONG_AWAY_MS : 3_000;
  return ms(random, 100, 2_000, longMs);
}

type Faults = Readonly<Record<string, Fault>>;

export const CLIENT_FAULTS: Faults = {
  cutClient: fault(12, (world, random) => {
    const link = random.pick([...world.links].filter(({ isCut }) => !isCut));
    if (!link) return null;
    const silent = random.next() < 0.2;
    if (link.node !== null) world.count('clientCuts');
    link.cut('ECONNRESET', silent);
    return `cut ${link.client.name}${silent ? ' without telling' : ''}`;
  }),
  cutAllClients: fault(2, (world, random) => {
    const node = random.pick(world.running);
    if (!node) return null;
    const links = world.linksOf(node).filter(({ isCut, node }) => !isCut && node !== null);
    for (const link of links) link.cut('ECONNRESET');
    world.count('clientCuts', links.length);
    return `cut all clients of ${node.owner.name}`;
  }),
  /** For shapes that ask for it: cuts that both ends learn of, so that the client comes back at once. */
  resetClient: fault(0, (world, random) => {
    const link = random.pick([...world.links].filter(({ isCut }) => !isCut));
    if (!link) return null;
    if (link.node !== null) world.count('clientCuts');
    link.cut('ECONNRESET');
    return `reset ${link.client.name}`;
  }),
  slowReader: fault(6, (world, random) => {
    const link = random.pick([...world.links]);
    if (!link) return null;
    const forMs = ms(random, 300, 3_000, 15_000);
    link.pause();
    later(world, forMs, () => link.resume());
    return `${link.client.name} reads nothing for ${forMs} ms`;
  }),
  sleepingClient: fault(4, (world, random) => {
    const { owner } = random.pick(world.clients);
    const forMs = ms(random, 500, 5_000, 40_000);
    if (!once(world, owner.name, forMs)) return null;
    freeze(world, owner, forMs);
    return `${owner.name} sleeps for ${forMs} ms`;
  }),
  offline: fault(3, (world, random) => {
    const { owner } = random.pick(world.clients);
    const forMs = ms(random, 500, 4_000, 10_000);
    if (!once(world, `network of ${owner.name}`, forMs)) return null;
    world.offline.add(owner);
    for (const link of world.links) if (link.client === owner) link.cut('ENETDOWN');
    later(world, forMs, () => world.offline.delete(owner));
    world.count('clientCuts');
    return `${owner.name} has no network for ${forMs} ms`;
  }),
  /** What it published arrives, and its connection is lost before it knows. It is back later, and tries again. */
  lostAnswers: fault(5, (world, random) => {
    const client = random.pick(
      world.clients.filter(({ isConnected, owner }) => isConnected && owner.held === null),
    );
    const forMs = awayMs(world, random);
    if (!client || !once(world, `network of ${client.owner.name}`, forMs)) return null;
    const { owner } = client;
    const room = random.pick(ROOMS);
    for (let i = random.pick([1, 3, 12]); i > 0; i--) publishTo(world, client, room, random);
    world.offline.add(owner);
    later(world, random.next() * 6, () => {
      for (const link of world.links) if (link.client === owner) link.cut('ENETDOWN');
    });
    later(world, forMs, () => world.offline.delete(owner));
    world.count('clientCuts');
    return `${owner.name} publishes, and has no network for ${forMs} ms`;
  }),
  noTokens: fault(3, (world, random) => {
    const client = random.pick(world.clients);
    const forMs = ms(random, 5_000, 40_000);
    if (!once(world, `tokens of ${client.owner.name}`, forMs)) return null;
    client.hasNoTokens = true;
    later(world, forMs, () => {
      client.hasNoTokens = false;
    });
    return `${client.owner.name} gets no token for ${forMs} ms`;
  }),
};

export const LINK_FAULTS: Faults = {
  cutRedisLink: fault(10, (world, random) => {
    const link = random.pick([...world.redisLinks]);
    if (!link) return null;
    const silent = random.next() < 0.25;
    const { name } = link;
    link.cut(silent);
    world.count('redisCuts');
    return `cut ${name} of ${link.node.name}${silent ? ' without telling' : ''}`;
  }),
  cutSubscribers: fault(6, (world) => {
    const links = [...world.redisLinks].filter((link) => link.isSubscribed);
    for (const link of links) link.cut(false);
    world.count('redisCuts', links.length);
    return 'cut all subscribe links';
  }),
  cutOff: fault(5, (world, random) => {
    const at = place(world, random);
    const node = world.nodes[at];
    if (!node || world.cutOff.has(at)) return null;
    const how = random.pick(['refused', 'silent'] as const);
    const forMs = ms(random, 500, 4_000, 12_000);
    world.cutOff.set(at, how);
    for (const link of world.redisLinksOf(node)) link.cut(how === 'silent');
    later(world, forMs, () => world.cutOff.delete(at));
    world.count('redisFaults');
    return `${node.owner.name} cannot reach Redis for ${forMs} ms (${how})`;
  }),
  /** What nodes ask of Redis, and what comes from there, is under way for long. */
  slowLinks: fault(3, (world, random) => {
    const forMs = ms(random, 2_000, 8_000);
    if (!once(world, 'slow links', forMs)) return null;
    world.redisDelayMs = random.pick([20, 100, 300]);
    later(world, forMs, () => {
      world.redisDelayMs = 0;
    });
    world.count('redisFaults');
    return `packets to and from Redis take up to ${world.redisDelayMs} ms more for ${forMs} ms`;
  }),
  deafRoom: fault(2, (world, random) => {
    const link = random.pick([...world.redisLinks].filter(({ isSubscribed }) => isSubscribed));
    const channel = link?.goDeaf((items) => random.pick(items)) ?? null;
    if (link === undefined || channel === null) return null;
    world.deafness.begin(link, channel);
    world.count('redisFaults');
    return `${link.node.name} is deaf for ${channel}`;
  }),
};

export const REDIS_FAULTS: Faults = {
  freezeRedis: fault(5, (world, random) => {
    const forMs = ms(random, 100, 1_500, 6_000);
    if (!once(world, 'redis', forMs)) return null;
    freeze(world, world.redisOwner, forMs);
    world.count('redisFaults');
    return `Redis is frozen for ${forMs} ms`;
  }),
  restartRedis: fault(4, (world, random) => {
    const forMs = ms(random, 50, 1_000, 4_000);
    if (!once(world, 'redis', forMs)) return null;
    world.isRedisDown = true;
    world.redis.restart(world.redis.keys);
    later(world, forMs, () => {
      world.isRedisDown = false;
    });
    world.count('redisFaults');
    return `Redis restarts in ${forMs} ms, with its data`;
  }),
  oldDisk: fault(2, (world, random) => {
    const drawn = drawOldDisk(random);
    if (!once(world, 'redis', drawn.ageMs + drawn.downMs)) return null;
    startFromOldDisk(world, drawn);
    world.count('redisFaults');
    return `Redis is killed in ${drawn.ageMs} ms, and starts from the disk that it has now`;
  }),
  flushRedis: fault(2, (world) => {
    world.redis.flushAll();
    world.flushedAtMs = world.loop.nowMs;
    world.hasForgotten = true;
    world.count('redisFaults');
    return 'Redis is flushed';
  }),
  flushScripts: fault(4, (world) => {
    world.redis.flushScripts();
    world.count('redisFaults');
    return 'Redis forgets its scripts';
  }),
  failOver: fault(4, (world, random) => {
    const lagMs = ms(random, 1, 100, 1_000);
    const downMs = ms(random, 50, 1_000);
    if (!once(world, 'redis', lagMs + downMs)) return null;
    const { offset } = world.redis;
    const keys = world.redis.keys.copy();
    world.hasForgotten = true;
    const lives = random.next() < 0.3;
    later(world, lagMs, () => {
      world.trace('FAULT the primary is gone');
      world.isRedisDown = true;
      const former = world.redis.promote(keys, `redis-${world.loop.nowMs}`, offset);
      world.formerRedis = lives ? former : null;
      if (lives) followLater(world, former, random, false);
    });
    later(world, lagMs + downMs, () => {
      world.isRedisDown = false;
    });
    world.count('redisFaults');
    return `Redis fails over to a replica that lacks the last ${lagMs} ms`;
  }),
  handOver: fault(3, (world, random) => {
    const downMs = ms(random, 20, 200);
    if (!once(world, 'redis', downMs)) return null;
    const former = world.redis.promote(world.redis.keys, `redis-${world.loop.nowMs}`);
    world.formerRedis = former;
    world.isRedisDown = true;
    later(world, downMs, () => {
      world.isRedisDown = false;
    });
    followLater(world, former, random, true);
    world.count('redisFaults');
    return 'Redis hands over to its replica, which has everything';
  }),
  fullRedis: fault(4, (world, random) => {
    const forMs = ms(random, 100, 2_000, 6_000);
    if (!once(world, 'full', forMs)) return null;
    world.redis.isFull = true;
    later(world, forMs, () => {
      world.redis.isFull = false;
    });
    world.count('redisFaults');
    return `Redis is full for ${forMs} ms`;
  }),
  noDisk: fault(3, (world, random) => {
    const forMs = ms(random, 100, 2_000, 6_000);
    if (!once(world, 'full', forMs)) return null;
    world.redis.refusal =
      'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.';
    later(world, forMs, () => {
      world.redis.refusal = null;
    });
    world.count('redisFaults');
    return `Redis refuses writes for ${forMs} ms`;
  }),
  redisClock: fault(2, (world, random) => {
    const byMs = ms(random, 50, 2_000) * random.pick([-1, 1]);
    // Keys end early where it goes ahead: clients allow for a little of that.
    if (world.redisOwner.wallAheadMs + byMs > world.settings.dedupWindowMs * TOLERATED_SHARE) return null;
    world.redisOwner.wallAheadMs += byMs;
    world.count('redisFaults');
    return `the clock of Redis jumps by ${byMs} ms`;
  }),
};

export const NODE_FAULTS: Faults = {
  killNode: fault(4, (world, random) => {
    const at = place(world, random);
    const node = world.nodes[at];
    if (!node || !once(world, 'node', 3_000)) return null;
    const silent = random.next() < 0.3;
    world.killNode(at, silent);
    later(world, ms(random, 200, 2_000, 9_000), () => world.nodes[at] ?? world.startNode(at));
    world.count('nodeFaults');
    return `${node.owner.name} is killed${silent ? ' with its machine' : ''}`;
  }),
  drainNode: fault(4, (world, random) => {
    const at = place(world, random);
    const node = world.nodes[at];
    if (node?.state !== 'running') return null;
    world.drainNode(at);
    const retry = () => {
      if (world.nodes[at] === null) world.startNode(at);
      else if (world.nodes[at] === node) later(world, 500, retry);
    };
    later(world, ms(random, 3_000, 8_000), retry);
    world.count('nodeFaults');
    return `${node.owner.name} is drained`;
  }),
  freezeNode: fault(5, (world, random) => {
    const node = random.pick(world.running);
    const forMs = ms(random, 100, 2_500, 9_000);
    if (!node || !once(world, node.owner.name, forMs)) return null;
    freeze(world, node.owner, forMs);
    world.count('nodeFaults');
    return `${node.owner.name} is frozen for ${forMs} ms`;
  }),
  /** A node stands still until another one begins to remove its members, and wakes at that moment. */
  wakeSwept: fault(2, (world, random) => {
    const node = random.pick(world.running);
    const others = world.running.filter((other) => other !== node);
    if (!node || others.length === 0 || !once(world, 'node', 12_000)) return null;
    const { nodeId } = node.core.node;
    world.loop.freeze(node.owner);
    const untilMs = world.loop.nowMs + 12_000;
    const look = () => {
      const isClaimed = leases(world).some(([id, record]) => id === nodeId && !record.endsWith(':'));
      if (!isClaimed && world.loop.nowMs < untilMs) return later(world, WAKE_LOOK_MS, look);
      world.loop.thaw(node.owner);
      world.trace(`${node.owner.name} wakes`);
      // Whoever removes its members goes on a moment later.
      if (isClaimed)
        for (const { owner } of others) if (owner.held === null) freeze(world, owner, random.whole(1, 300));
    };
    later(world, WAKE_LOOK_MS, look);
    world.count('nodeFaults');
    return `${node.owner.name} is frozen until its lease is claimed`;
  }),
  clock: fault(2, (world, random) => {
    const node = random.pick(world.running);
    if (!node) return null;
    const byMs = ms(random, 50, 5_000) * random.pick([-1, 1]);
    node.owner.wallAheadMs += byMs;
    world.count('nodeFaults');
    return `the clock of ${node.owner.name} jumps by ${byMs} ms`;
  }),
};

export const FAULTS: Faults = { ...CLIENT_FAULTS, ...LINK_FAULTS, ...REDIS_FAULTS, ...NODE_FAULTS };

/** Where there is a Redis Cluster in place of one Redis. */
export const FAULTS_OF_CLUSTER: Faults = {
  ...CLIENT_FAULTS,
  ...LINK_FAULTS,
  ...CLUSTER_FAULTS,
  ...NODE_FAULTS,
};
