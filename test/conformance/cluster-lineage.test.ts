/** What failovers and moves of slots cost on a real Redis Cluster: an epoch only where writes may be lost. `FAILOVERS` has it do more of them. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { slotOf } from '../../src/backplane/redis/keys/slots.ts';
import type { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { type Running, startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny, type Settled } from '../support/frames.ts';
import type { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const PLANNED = Number(process.env.FAILOVERS ?? 2);
const ROOMS = Array.from({ length: 48 }, (_, i) => `room ${i}`);
const keys = new Keys('lineage', 16);

let cluster: RedisCluster;
let nodes: Running<RedisBackplane>[];

beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 60_000);
afterAll(() => cluster.dispose());

async function start(): Promise<void> {
  const settings = { cluster: true, keyPrefix: 'lineage', commandTimeoutMs: 5_000 };
  nodes = [await startRedis(cluster.url, settings), await startRedis(cluster.url, settings)];
}

afterEach(async () => {
  for (const { backplane } of nodes.splice(0)) await backplane.close();
  await cluster.settled();
  for (const master of await cluster.masters()) await master.client.flushall();
});

/** One message in each room, by turns of the nodes; tried until Redis took it. */
async function publishAll(text: string): Promise<Settled[]> {
  return Promise.all(ROOMS.map((room, i) => publishUntilTaken(nodes[i % 2]!, room, text)));
}

async function publishUntilTaken({ backplane }: Running, room: string, text: string): Promise<Settled> {
  let settled: Settled | null = null;
  await waitFor(
    async () => {
      settled = await publishTiny(backplane, room, text, { key: text });
      return settled.error === null;
    },
    { for: `a publish in ${room}`, timeoutMs: 20_000 },
  );
  return settled!;
}

function shown(settled: readonly Settled[]): string[] {
  return settled.map(({ epoch, offset }) => `${epoch} ${offset}`);
}

/** What the master took last does not reach its replica before that takes over. */
async function failOverLosing(master: RedisServer): Promise<RedisServer> {
  const [replica] = await cluster.replicas(master);
  await replica!.client.config('SET', 'masterauth', 'wrong');
  await replica!.client.call('CLIENT', 'KILL', 'TYPE', 'master');
  const [slot] = await cluster.slots(master);
  const tag = Array.from({ length: 100_000 }, (_, i) => `{${i}}`).find((key) => slotOf(key) === slot);
  await master.client.set(`${tag}lost`, 'x');
  await cluster.failover(master, 'TAKEOVER');
  await replica!.client.config('SET', 'masterauth', '');
  // Until then the other does not know that it was replaced, and takes messages.
  await cluster.settled();
  return replica!;
}

/** Rooms whose partition this master has. */
async function roomsOf(master: RedisServer): Promise<Set<string>> {
  const slots = new Set(await cluster.slots(master));
  return new Set(ROOMS.filter((room) => slots.has(keys.slotOfPartition(keys.partitionOf(room)))));
}

describe('on a Redis Cluster', () => {
  it(`${PLANNED} planned failovers of each master cost no epoch`, async () => {
    await start();
    const first = await publishAll('first');
    for (let i = 0; i < PLANNED; i++) {
      for (const master of await cluster.masters()) await cluster.failover(master);
      const next = await publishAll(`after ${i}`);
      expect(shown(next)).toEqual(first.map(({ epoch }) => `${epoch} ${i + 2}`));
      await cluster.settled();
    }
  }, 600_000);

  it('a failover that the master knows nothing of gives its rooms a new epoch, and no others', async () => {
    await start();
    const first = await publishAll('first');
    const [master] = await cluster.masters();
    const concerned = await roomsOf(master!);
    await failOverLosing(master!);
    const next = await publishAll('after');
    ROOMS.forEach((room, i) => {
      expect({ room, isNew: next[i]!.epoch !== first[i]!.epoch }).toEqual({
        room,
        isNew: concerned.has(room),
      });
    });
    // Once: both nodes agree.
    expect((await publishAll('again')).map(({ epoch }) => epoch)).toEqual(next.map(({ epoch }) => epoch));
  }, 60_000);

  it('slots that move to a master of another lineage keep their epochs', async () => {
    await start();
    const [from, to] = await cluster.masters();
    // The lineage of the target begins anew, that of the source does not.
    const target = await failOverLosing(to!);
    const first = await publishAll('first');
    const moving = [
      ...new Set([...(await roomsOf(from!))].map((room) => keys.slotOfPartition(keys.partitionOf(room)))),
    ];
    await cluster.move(moving, target);
    expect(shown(await publishAll('after'))).toEqual(first.map(({ epoch }) => `${epoch} 2`));
    // Back, and with another failover that was not planned: then only that counts.
    await cluster.move(moving, from!);
    expect(shown(await publishAll('back'))).toEqual(first.map(({ epoch }) => `${epoch} 3`));
    const page = await nodes[0]!.backplane.read(ROOMS[0]!, KEPT, { limit: 10 });
    expect(page.offset).toBe(3);
    // A master that was promoted long ago, and has nothing for a while, may get something again.
    const owned = new Set(await cluster.slots(target));
    const used = Array.from({ length: keys.partitions }, (_, part) => keys.slotOfPartition(part));
    const all = new Set([...used, slotOf(keys.leases())].filter((slot) => owned.has(slot)));
    await cluster.move([...all], from!);
    expect(shown(await publishAll('away'))).toEqual(first.map(({ epoch }) => `${epoch} 4`));
    await cluster.move(moving, target);
    expect(shown(await publishAll('there'))).toEqual(first.map(({ epoch }) => `${epoch} 5`));
  }, 120_000);

  it('a master that is killed costs its rooms an epoch, and no others', async () => {
    await start();
    const first = await publishAll('first');
    const [, master] = await cluster.masters();
    const concerned = await roomsOf(master!);
    await cluster.kill(master!);
    await cluster.successor(master!);
    const next = await publishAll('after');
    ROOMS.forEach((room, i) => {
      expect({ room, isNew: next[i]!.epoch !== first[i]!.epoch }).toEqual({
        room,
        isNew: concerned.has(room),
      });
    });
    await cluster.restart(master!);
  }, 120_000);
});
