import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay } from '../support/wait.ts';

const used = useCluster({}, { appendonly: 'yes', appendfsync: 'always' });

const AWAY_MS = 3_000;

describe('when Redis is killed and started again with its append-only file', { timeout: 120_000 }, () => {
  it('connections stay, publishes are refused quickly, and afterwards every member has everything', async () => {
    const crowd = await used.gatherHundred('chaos:redis-restart');
    crowd.publish(500);
    await crowd.heard(1_000);
    await used.redis.kill();
    await delay(AWAY_MS);
    await used.redis.restart();
    await crowd.heard(2_000);
    const verdict = await crowd.conclude('redis restart', () => crowd.answers());
    expectFlawless(verdict);
    expect(used.cluster.reasonsOfResets).toEqual([]);
    expect(verdict).toMatchObject({ members: 100, gaps: 0, resets: 0 });
    expect(crowd.refused()).toBeGreaterThan(0);
    // Nothing waits for Redis to come back.
    expect(crowd.slowestAnswerMs()).toBeLessThan(AWAY_MS);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await crowd.disperse();
  });
});
