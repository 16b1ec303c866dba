import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import type { ShardCalls } from '../../src/backplane/redis/link/shard-calls.ts';
import { Lease } from '../../src/backplane/redis/presence/lease.ts';
import { leaseScript, releaseScript } from '../../src/backplane/redis/scripts/scripts.ts';
import { silentLog } from '../../src/util/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

interface Call {
  readonly sha: string;
  readonly args: readonly string[];
  answer(reply: unknown): void;
}

/** A Redis that answers when the test says so. */
function slowLease(incarnation = () => '') {
  const calls: Call[] = [];
  const callBuffer = (_name: string, [sha, count, ...words]: [string, number, ...unknown[]]) =>
    new Promise((answer) => calls.push({ sha, args: words.slice(count).map(String), answer }));
  const redis = { callBuffer } as unknown as Redis;
  const ask: ShardCalls['ask'] = (_place, work) =>
    work({ redis, lineageOf: () => '', saw: () => undefined, isCluster: false });
  const shards: ShardCalls = { ask, askRead: ask, grouped: (items) => [items] };
  const lease = new Lease({
    nodeId: 'node---1',
    leaseMs: 6_000,
    emptiedMs: 0,
    shards,
    keys: new Keys('rc', 1),
    clock: new FakeClock(),
    log: silentLog,
    metrics: silentMetrics,
    incarnation,
    lost: () => undefined,
    renewed: () => undefined,
  });
  return { lease, calls };
}

test('a release that comes during a renewal waits for it, and names the record that it wrote', async () => {
  const { lease, calls } = slowLease();
  const started = lease.start();
  calls[0]?.answer([0]);
  await started;
  const renewed = lease.renew();
  const released = lease.release();
  expect(calls.map(({ sha }) => sha)).toEqual([leaseScript.sha, leaseScript.sha]);
  const [, , kept] = calls[1]!.args;
  calls[1]!.answer([1]);
  await renewed;
  await expect.poll(() => calls.length).toBe(3);
  expect(calls[2]).toMatchObject({ sha: releaseScript.sha, args: ['node---1', kept] });
  calls[2]!.answer(1);
  await released;
  lease.stop();
});

test('a link that comes up during the start takes no second lease', async () => {
  const { lease, calls } = slowLease();
  const started = lease.start();
  const renewed = lease.renew();
  expect(calls).toHaveLength(1);
  calls[0]!.answer([0]);
  await started;
  expect(await renewed).toBe(true);
  expect(lease.term).toBe(1);
  void lease.renew();
  expect(calls[1]!.args[1]).toBe('1');
  lease.stop();
});

test('nothing takes the lease again once it is given up', async () => {
  const { lease, calls } = slowLease();
  const started = lease.start();
  calls[0]?.answer([0]);
  await started;
  const released = lease.release();
  expect(await lease.renew()).toBe(false);
  await expect.poll(() => calls.length).toBe(2);
  calls[1]!.answer(1);
  await released;
  expect(calls).toHaveLength(2);
  lease.stop();
});

test('it is not held any more after Redis was started again, whatever the disk says of it', async () => {
  let incarnation = 'run 1';
  const { lease, calls } = slowLease(() => incarnation);
  const started = lease.start();
  calls[0]?.answer([0]);
  await started;
  expect(lease.term).toBe(1);
  incarnation = 'run 2';
  const renewed = lease.renew();
  expect(calls[1]!.args[1]).toBe('0');
  calls[1]!.answer([0]);
  await renewed;
  expect(lease.term).toBe(2);
  void lease.renew();
  expect(calls[2]!.args[1]).toBe('2');
  lease.stop();
});
