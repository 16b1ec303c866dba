/** What befalls a Redis Cluster: rooms of the shard that lost writes are told so, those of the others notice nothing. */
import { afterEach, describe, expect, it } from 'vitest';
import { ShardLoad } from '../support/shard-load.ts';
import { useRedisCluster } from '../support/use-redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const used = useRedisCluster();

const CALM = { gaps: 0, resets: 0 };

let load: ShardLoad | null = null;
afterEach(() => load?.end());

/** What only the long runs do. */
const FORCED = Number(process.env.CLUSTER_FAILOVERS ?? 1) > 1 ? (['FORCE', 'TAKEOVER'] as const) : [];

/** Members of the shard were told by a reset; those of the others lack nothing. */
async function judgeFailover(title: string): Promise<void> {
  const { elsewhere } = await load!.judge(title);
  expect(elsewhere).toMatchObject(CALM);
  for (const log of load!.crowd.logs) expect(log.count('reset')).toBeGreaterThan(0);
  const { members, publishers } = load!.crowd;
  for (const { connections } of [...members, ...publishers]) expect(connections).toBe(1);
}

describe('a Redis Cluster under load', { timeout: 120_000 }, () => {
  it('kill -9 of the master that has the leases: its rooms reset, no other does', async () => {
    const shard = await used.controlShard();
    load = await ShardLoad.begin(used, { shard });
    await used.redis.kill(shard);
    await used.redis.successor(shard);
    await load.heard(600);
    await judgeFailover('master killed');
    await used.redis.restart(shard);
    await used.redis.settled();
  });

  it('a master freezes, is replaced, and wakes: nothing that it answers then counts', async () => {
    const shard = await used.otherShard();
    load = await ShardLoad.begin(used, { shard });
    used.redis.freeze(shard);
    await used.redis.successor(shard);
    await load.heard(600);
    used.redis.thaw(shard);
    await load.heard(300);
    await judgeFailover('master frozen');
    await used.redis.settled();
  });

  it.each(FORCED)(
    'CLUSTER FAILOVER %s, which the master is not asked about: its rooms reset if it had more, no other does',
    async (how) => {
      const shard = await used.otherShard();
      load = await ShardLoad.begin(used, { shard });
      await used.redis.failover(shard, how);
      await load.heard(600);
      // By chance the master had nothing more. It proves that when it follows, and its rooms go on.
      const { elsewhere } = await load.judge(`CLUSTER FAILOVER ${how}`);
      expect(elsewhere).toMatchObject(CALM);
      const resets = load.crowd.logs.map((log) => log.count('reset'));
      expect(new Set(resets).size, `resets of each member: ${resets}`).toBe(1);
      await used.redis.settled();
    },
  );

  it('without a quorum publishes are refused, and afterwards members have everything', async () => {
    const [shard] = await used.redis.masters();
    load = await ShardLoad.begin(used, { shard: shard! });
    const refusedBefore = load.crowd.refused();
    const bringBack = await used.redis.loseQuorum();
    await waitFor(() => load!.crowd.refused() > refusedBefore, { timeoutMs: 20_000, for: 'a refusal' });
    await bringBack();
    await load.heard(600);
    expect(await load.judge('no quorum')).toMatchObject({ here: CALM, elsewhere: CALM });
    expect(await load.fleet.audit(used.nodes.urls[0]!)).toEqual([]);
  });
});
