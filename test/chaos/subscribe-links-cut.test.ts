import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { RedisServer } from '../support/redis.ts';
import { delay } from '../support/wait.ts';

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

const CUTS = 8;

describe('when the subscribe links of all nodes are cut again and again', { timeout: 120_000 }, () => {
  it('every member has every acknowledged message once, in order', async () => {
    const crowd = await gather('chaos:links-cut');
    crowd.publish(500);
    await crowd.heard(500);
    let cut = 0;
    for (let i = 0; i < CUTS; i++) {
      cut += (await redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')) as number;
      await delay(100 + 150 * i);
      await crowd.heard(100);
    }
    await crowd.heard(500);
    const holes = await Promise.all(
      [0, 1, 2].map((i) => cluster.metric(i, 'roomcast_holes_filled_messages_total')),
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
