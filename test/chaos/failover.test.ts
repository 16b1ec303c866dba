import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectFlawless, type Verdict } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const ROOM = 'chaos:failover';
/** `CHAOS_FAILOVERS=all`: also those that the simulation draws in every run, with thousands of others. */
const HAS_ALL = process.env.CHAOS_FAILOVERS === 'all';

let primary: RedisServer;
let replica: RedisServer;
/** Between the replica and its primary. */
let replication: DeafeningProxy;
/** Between each node and whichever is the primary. */
let entries: DeafeningProxy[];
let cluster: Cluster;

beforeEach(async () => {
  primary = await RedisServer.start();
  replication = await DeafeningProxy.start(primary.port);
  replica = await RedisServer.start({ replicaof: `127.0.0.1 ${replication.port}` });
  await waitFor(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
    timeoutMs: 20_000,
    for: 'the replica to follow',
  });
  entries = await Promise.all([0, 1, 2].map(() => DeafeningProxy.start(primary.port)));
  cluster = await Cluster.start({ redis: entries.map(({ port }) => `redis://127.0.0.1:${port}`) });
});

afterEach(async () => {
  await cluster.dispose();
  for (const proxy of [...entries, replication]) proxy.dispose();
  await Promise.all([primary.dispose(), replica.dispose()]);
});

/** The primary dies with that many messages that the replica does not have, and the replica is promoted. */
async function loseThePrimary(crowd: Crowd, missing: number): Promise<void> {
  replication.cut();
  await crowd.heard(missing);
  await primary.kill();
  await replica.client.replicaof('NO', 'ONE');
}

/** Every member was told, the reset took with it what the dead primary had acknowledged, and nothing else is missing. */
function expectReset(crowd: Crowd, verdict: Verdict): void {
  expectFlawless(verdict);
  for (const log of crowd.logs) expect(log.count('reset')).toBeGreaterThan(0);
  const { epoch } = crowd.acknowledged[0]!;
  // The replica goes on, in another epoch, after the last message that it has.
  const survived =
    Math.min(...crowd.acknowledged.filter((one) => one.epoch !== epoch).map(({ offset }) => offset)) - 1;
  expect(verdict.forgotten.filter((one) => one.epoch !== epoch || one.offset <= survived)).toEqual([]);
}

describe('when a replica is promoted that lacks the last writes', { timeout: 120_000 }, () => {
  // 20: their numbers are given out again before any node has looked. 2,000: long after.
  it.each(HAS_ALL ? [20, 2_000] : [20])(
    'members are told of %i lost messages by a reset, and have all that follow',
    async (missing) => {
      const crowd = await Crowd.gather({
        room: ROOM,
        urls: cluster.urls,
        members: [34, 33, 33],
        publishers: [0, 1, 2],
      });
      crowd.publish(500);
      await crowd.heard(1_000);
      await loseThePrimary(crowd, missing);
      for (const entry of entries) entry.lead(replica.port);
      await crowd.heard(1_500);
      const verdict = await crowd.conclude(`failover, ${missing} messages missing`);
      expectReset(crowd, verdict);
      for (const { connections } of [...crowd.members, ...crowd.publishers]) expect(connections).toBe(1);
      await crowd.disperse();
    },
  );

  if (!HAS_ALL) return;

  it('a node that comes late, when the lost numbers belong to other messages, tells its members too', async () => {
    const crowd = await Crowd.gather({ room: ROOM, urls: cluster.urls, members: [30], publishers: [1] });
    crowd.publish(500);
    await crowd.heard(500);
    await loseThePrimary(crowd, 100);
    // No node that has the room open is there to notice.
    entries[1]!.lead(replica.port);
    await crowd.heard(500);
    entries[0]!.lead(replica.port);
    await crowd.heard(500);
    const verdict = await crowd.conclude('failover, a late node');
    expectReset(crowd, verdict);
    await crowd.disperse();
  });

  it('members that come back to a node that knows nothing of it are told too', async () => {
    const crowd = await Crowd.gather({ room: ROOM, urls: cluster.urls, members: [30], publishers: [2] });
    crowd.publish(500);
    await crowd.heard(500);
    await loseThePrimary(crowd, 100);
    entries[2]!.lead(replica.port);
    await crowd.heard(500);
    // The only node that remembers what was lost goes too.
    entries[1]!.lead(replica.port);
    await cluster.kill(0);
    await crowd.heard(500);
    const verdict = await crowd.conclude('failover, members on another node');
    expectReset(crowd, verdict);
    await crowd.disperse();
  });
});
