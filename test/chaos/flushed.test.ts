import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { useCluster } from '../support/use-cluster.ts';

const used = useCluster();

const FLUSHES = 3;

describe('when Redis is flushed under load', { timeout: 120_000 }, () => {
  it('every member is told of each reset, goes on, and has all that was published since', async () => {
    const crowd = await used.gatherHundred('chaos:flushed');
    crowd.publish(500);
    let flushedAtMs = 0;
    for (let i = 0; i < FLUSHES; i++) {
      await crowd.heard(700);
      await used.redis.client.flushall();
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
