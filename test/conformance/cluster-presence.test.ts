/** Presence of several nodes on a Redis Cluster: members lie on the master of their room, leases and lists of rooms on one for all. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import type { RedisBackplane, RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { randomId } from '../../src/util/ids.ts';
import { startRedis } from '../support/backplanes.ts';
import { enterMany, entryOf, type PresentNode, startPresence } from '../support/presence.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

// Two clusters on a busy machine may stand still for longer than half a second.
const LEASE_MS = 1_500;
/** A dead node is claimed at the latest this long after its death, and a bit. */
const SWEPT_MS = 10 * LEASE_MS;
const PARTITIONS = 16;
const ROOMS = Array.from({ length: 24 }, (_, i) => `room ${i}`);

let cluster: RedisCluster;
let keyPrefix: string;
const open: RedisBackplane[] = [];

beforeAll(async () => {
  cluster = await RedisCluster.start({ replicas: 0 });
});

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

afterAll(() => cluster.dispose());

async function start(settings: Partial<RedisBackplaneOptions> = {}): Promise<PresentNode<RedisBackplane>> {
  const common = { keyPrefix, partitions: PARTITIONS, leaseMs: LEASE_MS, cluster: true };
  const running = await startRedis(cluster.url, { ...common, ...settings });
  open.push(running.backplane);
  return startPresence(running);
}

/** Of all masters, without the records of which promotion numbered a partition. */
async function keysLeft(): Promise<string[]> {
  const masters = await cluster.masters();
  const keys = await Promise.all(masters.map(({ client }) => client.keys(`${keyPrefix}:*`)));
  return keys.flat().filter((key) => !key.endsWith('}:lineage'));
}

it('a node that dies leaves the rooms of all masters, once, and its lease and its list of rooms are gone', async () => {
  keyPrefix = `p${randomId(6)}`;
  const [survivor, other] = [await start({ emptiedMs: 500 }), await start({ emptiedMs: 500 })];
  for (const room of ROOMS) await survivor.backplane.subscribe(room);
  const dead = await start();
  for (const room of ROOMS) {
    enterMany(survivor, room, 1);
    enterMany(dead, room, 3);
  }
  for (const room of ROOMS) await survivor.presence.untilChanges(room, 4);
  const listed = await other.backplane.presence.rooms(100);
  expect(listed.rooms.map(({ room, count }) => [room, count])).toEqual(
    [...ROOMS].sort().map((room) => [room, 4]),
  );
  await dead.backplane.close();
  for (const room of ROOMS) {
    const lines = await survivor.presence.untilChanges(room, 7, SWEPT_MS);
    const left = lines.filter((line) => line.startsWith('-')).map((line) => line.slice(1).split(' ')[0]);
    expect(left.sort()).toEqual([1, 2, 3].map((n) => `${dead.nodeId}-${n}`));
    expect(await other.backplane.presence.list(room, 10)).toMatchObject({ count: 1, users: 1 });
  }
  await waitFor(async () => !(await other.backplane.presence.nodes()).includes(dead.nodeId), {
    for: 'the lease to be gone',
  });
  const list = new Keys(keyPrefix, PARTITIONS).nodeRooms(dead.nodeId);
  await waitFor(async () => !(await keysLeft()).includes(list), { for: 'its list of rooms to be gone' });
  expect(survivor.presence.losses + other.presence.losses).toBe(0);
});

it.each([
  ['leave nothing behind on any master', 0, []],
  ['leave their lists of rooms alone, which are kept for a while', 60_000, ['leases', 'rooms', 'rooms']],
])('nodes that close in good order %s', async (_, emptiedMs, left) => {
  keyPrefix = `p${randomId(6)}`;
  const nodes = [await start({ emptiedMs }), await start({ emptiedMs })];
  for (const node of nodes) for (const room of ROOMS) enterMany(node, room, 2);
  for (const room of ROOMS) {
    await waitFor(async () => (await nodes[0]!.backplane.presence.list(room, 0)).count === 4);
  }
  for (const node of nodes) {
    for (const room of ROOMS)
      for (const n of [1, 2]) node.backplane.presence.leave(room, entryOf(node, n), true);
    await node.backplane.presence.close();
  }
  // What a node saw stored is told for a day: see beat.lua.
  const kept = (await keysLeft()).filter((key) => !key.includes(':beat:'));
  expect(kept.map((key) => key.split('}:')[1]!.split(':')[0]).sort()).toEqual(left);
});
