import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { RedisServer } from '../support/redis.ts';
import { delay } from '../support/wait.ts';

let redis: RedisServer;
let cluster: Cluster;

beforeAll(async () => {
  redis = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
  cluster = await Cluster.start({ redis: redis.url });
});

afterAll(async () => {
  await cluster.dispose();
  await redis.dispose();
});

function gather(room: string): Promise<Crowd> {
  return Crowd.gather({ room, urls: cluster.urls, members: [34, 33, 33], publishers: [0, 1, 2] });
}

describe('when Redis is killed and started again with its append-only file', { timeout: 120_000 }, () => {
  it('connections stay, publishes are refused quickly, and afterwards every member has everything', async () => {
    const crowd = await gather('chaos:redis-restart');
    crowd.publish(500);
    await crowd.heard(1_000);
    await redis.kill();
    await delay(2_000);
    await redis.restart();
    await crowd.heard(2_000);
    const verdict = await crowd.conclude('redis restart', () => crowd.answers());
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 100, gaps: 0, resets: 0 });
    expect(crowd.refused()).toBeGreaterThan(0);
    expect(crowd.slowestAnswerMs()).toBeLessThan(2_000);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await crowd.disperse();
  });
});
