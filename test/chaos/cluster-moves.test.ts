/** What an operator does to a Redis Cluster on purpose: nothing is lost by it, and no member is told of anything. */
import { afterEach, describe, expect, it } from 'vitest';
import { ShardLoad } from '../support/shard-load.ts';
import { useRedisCluster } from '../support/use-redis-cluster.ts';

const used = useRedisCluster();

const ROOMS = Number(process.env.CLUSTER_ROOMS ?? 30);
const FAILOVERS = Number(process.env.CLUSTER_FAILOVERS ?? 1);
const CUTS = 3;

let load: ShardLoad | null = null;
afterEach(() => load?.end());

describe('a Redis Cluster under load', { timeout: 60_000 + ROOMS * 100 + FAILOVERS * 10_000 }, () => {
  it(`${ROOMS} rooms move to another shard: nothing is lost, doubled or reordered`, async () => {
    const shard = await used.otherShard();
    const target = (await used.redis.masters()).find((master) => master !== shard)!;
    load = await ShardLoad.begin(used, { shard, rooms: ROOMS });
    const slots = await used.busySlots(shard);
    const beganAtMs = performance.now();
    await used.redis.move(slots, target);
    const tookMs = Math.round(performance.now() - beganAtMs);
    await load.heard(600);
    await load.judgeCalm('slots moved', `${slots.length} slots in ${tookMs} ms`);
    expect(await used.busySlots(shard)).toEqual([]);
    await used.redis.move(slots, shard);
    await used.redis.settled();
  });

  it(`CLUSTER FAILOVER, ${FAILOVERS} in a row: no reset, nobody deaf`, async () => {
    load = await ShardLoad.begin(used, { shard: await used.controlShard() });
    for (let i = 0; i < FAILOVERS; i++) {
      // Where the crowd is and what is one for the whole cluster, and another one, by turns.
      await used.redis.failover(i % 2 === 0 ? await used.controlShard() : await used.otherShard());
      await load.heard(200);
      await used.redis.settled();
    }
    await load.heard(300);
    await load.judgeCalm('planned failover', `${FAILOVERS} in a row`);
  });

  it('all subscribe links are cut again and again: members have everything', async () => {
    load = await ShardLoad.begin(used, { shard: await used.otherShard() });
    let cut = 0;
    for (let i = 0; i < CUTS; i++) {
      cut += await used.redis.cut('pubsub');
      await load.heard(150);
    }
    await load.judgeCalm('subscribe links of a cluster cut', `${cut} links`);
    // One for each of three nodes and three masters.
    expect(cut).toBeGreaterThanOrEqual(9);
  });

  it('a master is added and takes slots over', async () => {
    const shard = await used.otherShard();
    load = await ShardLoad.begin(used, { shard });
    const added = await used.redis.addMaster();
    const slots = (await used.busySlots(shard)).slice(0, 15);
    await used.redis.move(slots, added);
    await load.heard(600);
    await load.judgeCalm('master added', `${slots.length} slots`);
    await used.redis.settled();
  });
});
