/** The client library under everything that networks, nodes and Redis do to it. `CHAOS_CUTS` and `CHAOS_SEED` choose how much of it, and which. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check, expectFlawless, type Verdict } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { untilAllHaveCompared, untilTheDeadAreGone } from '../support/departures.ts';
import { Fleet } from '../support/fleet.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { delay } from '../support/wait.ts';

const CUTS = Number(process.env.CHAOS_CUTS ?? 50);
const NODES = 3;
const CLIENTS = 200;
const PER_SECOND = 150;
/** Links that one cut takes, at most. */
const LINKS_OF_A_CUT = 10;
const BETWEEN_CUTS_MS = 150;
const SETTLED_WITHIN_MS = 60_000;
const ROOMS = Array.from({ length: 20 }, (_, n) => `chaos:clients:${n}`);
/** How often each thing happens. */
const HAPPENINGS = {
  cut: CUTS,
  'a node is killed': Math.ceil(CUTS / 50),
  'Redis is killed': Math.ceil(CUTS / 200),
  'a client is replaced': Math.ceil(CUTS / 10),
  'a client leaves and joins': Math.ceil(CUTS / 10),
};
type Happening = keyof typeof HAPPENINGS;

const seed = chaosSeed();
const random = new Random(seed);
let redis: RedisServer;
let cluster: Cluster;
let proxies: CuttingProxy[];

beforeAll(async () => {
  redis = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
  // Links that went silent are found within seconds.
  cluster = await Cluster.start({
    redis: redis.url,
    nodes: NODES,
    env: { ROOMCAST_HEARTBEAT_INTERVAL_MS: '2000' },
  });
  proxies = await Promise.all(
    cluster.urls.map((url) => CuttingProxy.start(Number(new URL(url).port), random)),
  );
});

afterAll(async () => {
  for (const proxy of proxies) proxy.dispose();
  await cluster.dispose();
  await redis.dispose();
});

/** Everything that is to happen, in an order that the seed chooses. */
function story(): Happening[] {
  const left = Object.entries(HAPPENINGS).flatMap(([name, times]) =>
    new Array<Happening>(times).fill(name as Happening),
  );
  const told: Happening[] = [];
  while (left.length > 0) told.push(...left.splice(random.whole(0, left.length - 1), 1));
  return told;
}

async function killNode(): Promise<void> {
  const i = random.whole(0, NODES - 1);
  await cluster.kill(i);
  await delay(random.whole(0, 1_500));
  await cluster.run(i);
}

async function killRedis(): Promise<void> {
  await untilTheDeadAreGone(redis, NODES);
  await redis.kill();
  await delay(random.whole(0, 1_500));
  await redis.restart();
  await untilAllHaveCompared(redis, NODES);
}

/** Resolves when all of it has happened, with how often links were cut in each way. */
async function tell(happenings: readonly Happening[], fleet: Fleet): Promise<Record<string, number>> {
  const cuts: Record<string, number> = {};
  // One at a time, while links are cut: a node does not start without Redis.
  let troubles = Promise.resolve();
  for (const happening of happenings) {
    if (happening === 'a node is killed') troubles = troubles.then(killNode);
    else if (happening === 'Redis is killed') troubles = troubles.then(killRedis);
    else if (happening === 'a client is replaced') await fleet.replaceOne();
    else if (happening === 'a client leaves and joins') fleet.rejoinOne();
    else {
      for (const cut of random.pick(proxies).cut(random.whole(1, LINKS_OF_A_CUT))) {
        cuts[cut] = (cuts[cut] ?? 0) + 1;
      }
      await delay(random.whole(0, 2 * BETWEEN_CUTS_MS));
    }
  }
  await troubles;
  return cuts;
}

/** Redis kept everything and history reaches back to the beginning: nothing is named by `gap` or `reset`. */
function judge(fleet: Fleet): Verdict[] {
  expect(cluster.reasonsOfResets).toEqual([]);
  return ROOMS.map((room) => {
    const ofRoom = fleet.acknowledged.filter((message) => message.room === room);
    const verdict = check(ofRoom, fleet.logs(room));
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ gaps: 0, resets: 0, forgotten: [] });
    return verdict;
  });
}

describe(`${CLIENTS} clients in ${ROOMS.length} rooms under ${CUTS} cuts`, () => {
  it(
    'are given every acknowledged message once, in order, and every publish settles and is stored at most once',
    async () => {
      console.log(`[chaos] clients: CHAOS_SEED=${seed} CHAOS_CUTS=${CUTS}`);
      const beganAtMs = performance.now();
      const fleet = await Fleet.launch({
        urls: proxies.map(({ url }) => url),
        clients: CLIENTS,
        rooms: ROOMS,
        roomsOfEach: 2,
        random,
        client: { probeTimeoutMs: 2_000 },
      });
      fleet.publish(PER_SECOND);
      const cuts = await tell(story(), fleet);
      await fleet.settle(SETTLED_WITHIN_MS);
      const seconds = Math.round((performance.now() - beganAtMs) / 1000);
      const verdicts = judge(fleet);
      const sum = (of: (verdict: Verdict) => number) =>
        verdicts.reduce((total, verdict) => total + of(verdict), 0);
      console.log(
        `[chaos] clients: ${fleet.words()}; deliveries ${sum(({ delivered }) => delivered)}, lost 0, repeated 0, resets ` +
          `${sum(({ resets }) => resets)}; links cut ${JSON.stringify(cuts)}; ${JSON.stringify(HAPPENINGS)}; ${seconds} s`,
      );
      expect(await fleet.audit(cluster.urls[0]!)).toEqual([]);
      expect(fleet.outcomes.size).toBe(fleet.published);
      for (const outcome of ['acknowledged', 'refused', 'given up'] as const) {
        expect(fleet.count(outcome), outcome).toBeGreaterThan(0);
      }
      await fleet.close();
    },
    CUTS * 2_000 + 120_000,
  );
});
