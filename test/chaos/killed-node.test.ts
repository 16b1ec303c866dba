import { describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Crowd } from '../support/crowd.ts';
import { useCluster } from '../support/use-cluster.ts';

const used = useCluster();

describe('when one of three nodes is killed under 500 messages a second', { timeout: 120_000 }, () => {
  it('its 200 members go on elsewhere with every acknowledged message once, in order', async () => {
    const crowd = await Crowd.gather({
      room: 'chaos:killed-node',
      urls: used.cluster.urls,
      members: [200, 5, 5],
      // One of them publishes through the node that dies.
      publishers: [0, 1],
    });
    crowd.publish(500);
    await crowd.heard(2_000);
    await used.cluster.kill(0);
    await crowd.heard(3_000);
    const verdict = await crowd.conclude('killed node');
    await crowd.disperse();
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: 210, gaps: 0, resets: 0 });
    expect(verdict.messages).toBeGreaterThan(5_000);
    for (const member of crowd.members.slice(0, 200)) expect(member.closes.get(1006)).toBeGreaterThan(0);
  });
});
