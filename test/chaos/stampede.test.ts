import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFlawless } from '../support/checker.ts';
import { Cluster } from '../support/cluster.ts';
import { Crowd } from '../support/crowd.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const CLIENTS = 1_000;
const FEW_READS = 5;

let redis: RedisServer;
let cluster: Cluster;
let crowd: Crowd;

beforeAll(async () => {
  redis = await RedisServer.start();
  cluster = await Cluster.start({ redis: redis.url });
  const [first, warm, cold] = cluster.urls as [string, string, string];
  crowd = await Crowd.gather({
    room: 'chaos:stampede',
    urls: [first, warm, cold],
    // One witness keeps the room open on the second node. No member is on the third.
    members: [CLIENTS, 1],
    publishers: [2],
  });
});

afterAll(async () => {
  await crowd.disperse();
  await cluster.dispose();
  await redis.dispose();
});

/** Ends a node; resolves with what it cost Redis to have all of its clients recover on another. */
async function moveAll(
  from: number,
  to: number,
): Promise<{ reads: number; xranges: number; tookMs: number }> {
  const reads = await cluster.metric(to, 'roomcast_history_reads_total');
  const xranges = await redis.calls('xrange');
  const beganAtMs = performance.now();
  const before = crowd.acknowledged.length;
  await cluster.kill(from);
  await crowd.heard(20);
  const { offset } = crowd.acknowledged.at(-1)!;
  expect(crowd.acknowledged.length).toBeGreaterThan(before);
  await waitFor(() => crowd.logs.every(({ position }) => position![1] >= offset), {
    timeoutMs: 20_000,
    for: 'all to have caught up',
  });
  return {
    reads: (await cluster.metric(to, 'roomcast_history_reads_total')) - reads,
    xranges: (await redis.calls('xrange')) - xranges,
    tookMs: Math.round(performance.now() - beganAtMs),
  };
}

describe('a thousand clients that return at once', { timeout: 120_000 }, () => {
  it('cost a handful of reads of history, on a node that has their room open and on one that has not', async () => {
    crowd.publish(50);
    await crowd.heard(100);
    const warm = await moveAll(0, 1);
    const cold = await moveAll(1, 2);
    const words = (name: string, { reads, xranges, tookMs }: typeof warm) =>
      `${name}: ${reads} reads, ${xranges} XRANGE, ${tookMs} ms`;
    const verdict = await crowd.conclude('stampede', () => `${words('warm', warm)}, ${words('cold', cold)}`);
    expectFlawless(verdict);
    expect(verdict).toMatchObject({ members: CLIENTS + 1, gaps: 0, resets: 0 });
    for (const { reads, xranges } of [warm, cold]) {
      expect(reads).toBeLessThanOrEqual(FEW_READS);
      // One read looks at a few entries at a time. Those of the nodes' periodic checks ask for the position alone.
      expect(xranges).toBeLessThanOrEqual(FEW_READS * 50);
    }
  });
});
