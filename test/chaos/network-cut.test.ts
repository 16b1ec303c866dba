import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { TestClient } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { delay, waitFor } from '../support/wait.ts';

const CUT_MS = 5_000;

let redis: RedisServer;
let proxy: DeafeningProxy;
let cluster: Cluster;

beforeAll(async () => {
  redis = await RedisServer.start();
  proxy = await DeafeningProxy.start(redis.port);
  cluster = await Cluster.start({ redis: [`redis://127.0.0.1:${proxy.port}`, redis.url, redis.url] });
});

afterAll(async () => {
  await cluster.dispose();
  proxy.dispose();
  await redis.dispose();
});

describe('when the network between one node and Redis is cut for 5 s', { timeout: 120_000 }, () => {
  it('its members stay, publishing there is refused, it is not ready and says why, and then they have everything', async () => {
    const crowd = await Crowd.gather({
      room: 'chaos:network-cut',
      urls: cluster.urls,
      members: [50, 25, 25],
      publishers: [0, 1, 2],
    });
    const visitor = await TestClient.connect(cluster.urls[0]!);
    crowd.publish(500);
    await crowd.heard(1_000);
    proxy.cut();
    const healed = delay(CUT_MS).then(() => proxy.heal());
    const cutAtMs = performance.now();
    const unready = await waitFor(
      async () => {
        const readiness = await cluster.readiness(0);
        return readiness.status === 503 ? readiness : null;
      },
      { for: 'the node not to be ready', intervalMs: 20 },
    );
    const unreadyAfterMs = performance.now() - cutAtMs;
    expect(unready.reason).toMatch(/redis/);
    // Not `timeout`: it is refused without waiting for Redis.
    expect((await visitor.request('publish', 'chaos:network-cut:other', 1))[2]).toBe('unavailable');
    expect(await cluster.readiness(1)).toEqual({ status: 200, reason: null });
    await healed;
    const healedAtMs = performance.now();
    await waitFor(async () => (await cluster.readiness(0)).status === 200, {
      for: 'the node to be ready again',
      timeoutMs: 10_000,
    });
    const readyAfterMs = performance.now() - healedAtMs;
    await crowd.heard(1_000);
    const more = `not ready after ${Math.round(unreadyAfterMs)} ms, ready again after ${Math.round(readyAfterMs)} ms`;
    const verdict = await crowd.conclude('network cut', () => `${crowd.answers()}, ${more}`);
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 100, gaps: 0, resets: 0 });
    // Nothing waits for the network to come back.
    expect(crowd.slowestAnswerMs()).toBeLessThan(CUT_MS);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await Promise.all([crowd.disperse(), visitor.close()]);
  });
});
