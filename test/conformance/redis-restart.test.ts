/** What a start of Redis costs: nothing where it has everything, else a new epoch for each room. No number is given to two messages. */
import { describe, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { readRecord } from '../../src/backplane/redis/lineage/record.ts';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { type Running, startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny } from '../support/frames.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { useRedis } from '../support/use-redis.ts';
import { waitFor } from '../support/wait.ts';

const { open, proxies, ownServer } = useRedis();
const ROOMS = Array.from({ length: 40 }, (_, i) => `room ${i}`);
const keys = new Keys('restart', 16);

/** `server`: without disk but for what a test saves. */
async function start(url: string, hasLease = true): Promise<Running<RedisBackplane>> {
  const running = await startRedis(url, { keyPrefix: 'restart', probeIntervalMs: 50, leaseMs: 600 });
  open.push(running.backplane);
  if (hasLease) {
    const nothing = () => undefined;
    await running.backplane.presence.start({ changed: nothing, leaseLost: nothing });
  }
  return running;
}

/** Each has seen the other's lease, and has a beat since. */
async function untilAcquainted(...nodes: Running<RedisBackplane>[]): Promise<void> {
  await waitFor(() =>
    nodes.every(({ backplane }) => backplane.presence.peers.nodes.length === nodes.length - 1),
  );
}

async function killed(server: RedisServer, ...nodes: Running[]): Promise<void> {
  await server.kill();
  await waitFor(() => nodes.every(({ backplane }) => !backplane.status().ready), { for: 'links to be lost' });
}

function untilReady(...nodes: Running[]): Promise<boolean> {
  return waitFor(() => nodes.every(({ backplane }) => backplane.status().ready), {
    for: 'the nodes to be ready',
    timeoutMs: 15_000,
  });
}

function publishAll({ backplane }: Running) {
  return Promise.all(ROOMS.map((room) => publishTiny(backplane, room, 'x')));
}

const positions = (outcomes: readonly { epoch: string; offset: number }[]) =>
  outcomes.map(({ epoch, offset }) => `${epoch} ${offset}`);

describe('a Redis that is killed and starts again', () => {
  it('with everything keeps all epochs, and each number names one message', async () => {
    const server = await ownServer({ appendonly: 'yes' });
    const [a, b] = [await start(server.url), await start(server.url)];
    await untilAcquainted(a, b);
    const first = await publishAll(a);
    await publishAll(b);
    await killed(server, a, b);
    await server.restart();
    await untilReady(a, b);
    const third = await publishAll(b);
    expect(positions(third)).toEqual(first.map(({ epoch }) => `${epoch} 3`));
    // A node that starts now goes by what they found.
    const late = await start(server.url, false);
    expect(positions(await publishAll(late))).toEqual(first.map(({ epoch }) => `${epoch} 4`));
  }, 60_000);

  it('without the newest message of one room gives no room its old epoch', async () => {
    const server = await ownServer();
    const [a, b] = [await start(server.url), await start(server.url)];
    await untilAcquainted(a, b);
    const kept = await publishAll(a);
    await server.client.save();
    // Only the other node knows of it.
    const lost = await publishTiny(b.backplane, 'room 7', 'lost');
    await killed(server, a, b);
    await server.restart();
    await untilReady(a, b);
    const [fromA, fromB] = [await publishAll(a), await publishAll(b)];
    expect(lost).toMatchObject({ epoch: kept[7]?.epoch, offset: 2 });
    expect(fromA.map(({ offset }) => offset)).toEqual(ROOMS.map(() => 2));
    expect(positions(fromB)).toEqual(fromA.map(({ epoch }) => `${epoch} 3`));
    for (const [i, { epoch }] of fromA.entries()) expect(epoch).not.toBe(kept[i]?.epoch);
    // What it had stays.
    expect((await a.backplane.read('room 7', KEPT, { limit: 10 })).envelopes).toHaveLength(3);
  }, 60_000);

  it('and was believed whole begins anew when a node comes that knows better', async () => {
    const server = await ownServer();
    const proxy = await DeafeningProxy.start(server.port);
    proxies.push(proxy);
    const a = await start(server.url);
    // Without a lease: the first node does not know that it is there.
    const b = await start(`redis://127.0.0.1:${proxy.port}`, false);
    const { epoch } = await publishTiny(a.backplane, 'room', 'kept');
    await server.client.save();
    expect(await publishTiny(b.backplane, 'room', 'lost')).toMatchObject({ epoch, offset: 2 });
    const nobody = await ownServer();
    await nobody.kill();
    proxy.lead(nobody.port);
    await killed(server, a);
    await server.restart();
    await untilReady(a);
    const before = readRecord(await server.client.get(keys.lineage(0)));
    proxy.lead(server.port);
    await untilReady(b);
    const after = readRecord(await server.client.get(keys.lineage(0)));
    expect(after).toEqual({ ...before, lineage: before?.runId.slice(0, 8) });
    await waitFor(async () => (await publishTiny(a.backplane, 'room', 'x')).epoch !== epoch, {
      for: 'the other node to learn it',
    });
  }, 60_000);
});
