import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { RedisServer } from '../support/redis.ts';

let redis: RedisServer;
let cluster: Cluster;

beforeAll(async () => {
  redis = await RedisServer.start();
  cluster = await Cluster.start({ redis: redis.url });
});

afterAll(async () => {
  await cluster.dispose();
  await redis.dispose();
});

function gather(room: string): Promise<Crowd> {
  return Crowd.gather({ room, urls: cluster.urls, members: [34, 33, 33], publishers: [0, 1, 2] });
}

const FLUSHES = 3;

describe('when Redis is flushed under load', { timeout: 120_000 }, () => {
  it('every member is told of each reset, goes on, and has all that was published since', async () => {
    const crowd = await gather('chaos:flushed');
    crowd.publish(500);
    let flushedAtMs = 0;
    for (let i = 0; i < FLUSHES; i++) {
      await crowd.heard(700);
      await redis.client.flushall();
      flushedAtMs = performance.now();
    }
    await crowd.heard(1_500);
    const verdict = await crowd.conclude('flushed');
    expectFlawless(verdict);
    for (const log of crowd.logs) expect(log.count('reset')).toBe(FLUSHES);
    // A reset may take with it what was acknowledged before, and nothing else.
    for (const { sentAtMs } of verdict.forgotten) expect(sentAtMs).toBeLessThan(flushedAtMs);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await crowd.disperse();
  });
});
