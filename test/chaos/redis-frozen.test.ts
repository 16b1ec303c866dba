import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { TestClient } from '../support/client.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay } from '../support/wait.ts';

const used = useCluster();

const FROZEN_MS = 10_000;

describe('when Redis is frozen for 10 s', { timeout: 120_000 }, () => {
  it('connections stay, publishes and joins are answered meanwhile, and afterwards every member has everything', async () => {
    const crowd = await used.gatherHundred('chaos:redis-frozen');
    const newcomer = await TestClient.connect(used.cluster.urls[0]!);
    crowd.publish(500);
    await crowd.heard(1_000);
    used.redis.freeze();
    let isFrozen = true;
    const thawed = delay(FROZEN_MS).then(() => {
      isFrozen = false;
      used.redis.thaw();
    });
    const askedAtMs = performance.now();
    const refusal = await newcomer.request('join', 'chaos:another-room');
    const joinMs = performance.now() - askedAtMs;
    expect(refusal[0]).toBe('error');
    expect(['timeout', 'unavailable']).toContain(refusal[2]);
    expect((await newcomer.request('join', 'chaos:another-room'))[2]).toBe('unavailable');
    expect(isFrozen).toBe(true);
    await thawed;
    await crowd.heard(2_000);
    const verdict = await crowd.conclude(
      'redis frozen',
      () => `${crowd.answers()}, join refused after ${Math.round(joinMs)} ms`,
    );
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 100, gaps: 0, resets: 0 });
    expect(crowd.refused()).toBeGreaterThan(0);
    // Nothing waits for Redis to wake.
    expect(crowd.slowestAnswerMs()).toBeLessThan(FROZEN_MS);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await newcomer.ok('join', 'chaos:another-room');
    await Promise.all([crowd.disperse(), newcomer.close()]);
  });
});
