import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { useCluster } from '../support/use-cluster.ts';
import { delay } from '../support/wait.ts';

const used = useCluster();

const CUTS = 8;

describe('when the subscribe links of all nodes are cut again and again', { timeout: 120_000 }, () => {
  it('every member has every acknowledged message once, in order', async () => {
    const crowd = await used.gatherHundred('chaos:links-cut');
    crowd.publish(500);
    await crowd.heard(500);
    let cut = 0;
    for (let i = 0; i < CUTS; i++) {
      cut += (await used.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')) as number;
      await delay(100 + 150 * i);
      await crowd.heard(100);
    }
    await crowd.heard(500);
    const holes = await Promise.all(
      [0, 1, 2].map((i) => used.cluster.metric(i, 'roomcast_holes_filled_messages_total')),
    );
    const verdict = await crowd.conclude(
      'subscribe links cut',
      () => `${cut} links cut, holes filled ${holes}`,
    );
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 100, gaps: 0, resets: 0 });
    expect(cut).toBeGreaterThanOrEqual(CUTS);
    // Publishing went on through the other link: what was published meanwhile had to be read.
    for (const filled of holes) expect(filled).toBeGreaterThan(0);
    expect(crowd.refused()).toBe(0);
    for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
    await crowd.disperse();
  });
});
