import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Crowd } from '../support/crowd.ts';
import { useCluster } from '../support/use-cluster.ts';

const used = useCluster({ env: { ROOMCAST_DRAIN_WINDOW_MS: '2000' } });

describe('when three nodes are restarted one after another under 500 messages a second', {
  timeout: 120_000,
}, () => {
  it('200 members are given every acknowledged message once, in order', async () => {
    const crowd = await Crowd.gather({
      room: 'chaos:rolling-restart',
      urls: used.cluster.urls,
      members: [67, 67, 66],
      publishers: [0, 1, 2],
    });
    crowd.publish(500);
    const codes: (number | null)[] = [];
    for (const i of [0, 1, 2]) {
      await crowd.heard(1_000);
      codes.push(await used.cluster.stop(i));
      await used.cluster.run(i);
    }
    await crowd.heard(1_000);
    const verdict = await crowd.conclude('rolling restart');
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 200, gaps: 0, resets: 0 });
    expect(codes).toEqual([0, 0, 0]);
    // Every connection was ended in order.
    for (const { closes } of crowd.members) expect(closes.get(1012)).toBeGreaterThan(0);
  });
});
