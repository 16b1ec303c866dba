/** What a promotion of Redis costs: nothing where the former primary handed over everything, else a new epoch for each room. */
import { describe, expect, it } from 'vitest';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { writeRecord } from '../../src/backplane/redis/lineage/record.ts';
import type { RedisBackplane, RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { type Running, startRedis } from '../support/backplanes.ts';
import { KEPT, publishTiny } from '../support/frames.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { useRedis } from '../support/use-redis.ts';
import { waitFor } from '../support/wait.ts';

const { open, proxies, ownServer } = useRedis();
const PLANNED = Number(process.env.FAILOVERS ?? 3);

/** Copies for replicas begin at once, not after the usual 5 s. */
const AT_ONCE = { 'repl-diskless-sync-delay': '0' };

async function follow(primary: RedisServer): Promise<RedisServer> {
  const replica = await ownServer({ ...AT_ONCE, replicaof: `127.0.0.1 ${primary.port}` });
  await untilFollowed(primary);
  return replica;
}

async function untilFollowed(primary: RedisServer): Promise<void> {
  await waitFor(async () => (await primary.info('replication', 'slave0'))?.includes('state=online'), {
    timeoutMs: 20_000,
    for: 'the replica to follow',
  });
}

/** As an operator does it: the primary waits until the replica has everything, and then hands over. */
async function handOver(primary: RedisServer, replica: RedisServer): Promise<void> {
  await primary.client.call('FAILOVER', 'TO', '127.0.0.1', replica.port);
  await waitFor(async () => (await replica.info('replication', 'role')) === 'master', {
    for: 'the failover',
  });
}

async function start(
  url: string,
  settings: Partial<RedisBackplaneOptions> = {},
): Promise<Running<RedisBackplane>> {
  const running = await startRedis(url, { keyPrefix: 'lineage', ...settings });
  open.push(running.backplane);
  return running;
}

/** The replica has the message that was published in `room`. */
async function untilCopied(replica: RedisServer): Promise<void> {
  const meta = new Keys('lineage', 16).meta('room');
  await waitFor(async () => (await replica.client.exists(meta)) === 1, { for: 'the replica to have it' });
}

/** Where nodes find whoever is the primary: a virtual address, as it were. */
async function entry(server: RedisServer): Promise<DeafeningProxy> {
  const proxy = await DeafeningProxy.start(server.port);
  proxies.push(proxy);
  return proxy;
}

function urlOf(proxy: DeafeningProxy): string {
  return `redis://127.0.0.1:${proxy.port}`;
}

function untilReady({ backplane }: Running): Promise<boolean> {
  return waitFor(() => backplane.status().ready, { for: 'the node to be ready', timeoutMs: 15_000 });
}

/** The links to the former primary stand, and lead nowhere useful. */
async function moved(proxy: DeafeningProxy, server: RedisServer, ...nodes: Running[]): Promise<void> {
  proxy.lead(server.port);
  await waitFor(() => nodes.every(({ backplane }) => !backplane.status().ready), { for: 'links to be lost' });
  await Promise.all(nodes.map(untilReady));
}

async function positions({ backplane }: Running, rooms: readonly string[]): Promise<string[]> {
  const pages = await Promise.all(rooms.map((room) => backplane.read(room, KEPT, { limit: 0 })));
  return pages.map(({ epoch, offset }) => `${epoch} ${offset}`);
}

const ROOMS = Array.from({ length: 40 }, (_, i) => `room ${i}`);

describe('a planned failover', () => {
  it(`keeps the epochs of all rooms, ${PLANNED} times in a row`, async () => {
    let [primary, replica] = await pair();
    const proxy = await entry(primary);
    const [a, b] = [await start(urlOf(proxy)), await start(urlOf(proxy))];
    const first = await Promise.all(ROOMS.map((room) => publishTiny(a.backplane, room, 'first')));
    for (let i = 0; i < PLANNED; i++) {
      await handOver(primary, replica);
      await moved(proxy, replica, a, b);
      const next = await Promise.all(ROOMS.map((room) => publishTiny(b.backplane, room, `after ${i}`)));
      expect(next.map(({ epoch, offset }) => `${epoch} ${offset}`)).toEqual(
        first.map(({ epoch }) => `${epoch} ${i + 2}`),
      );
      [primary, replica] = [replica, primary];
      await untilFollowed(primary);
    }
    // A node that starts now goes by the record, and so does one that read before.
    const late = await start(urlOf(proxy));
    expect(await positions(late, ROOMS)).toEqual(first.map(({ epoch }) => `${epoch} ${PLANNED + 1}`));
    expect(await positions(a, ROOMS)).toEqual(await positions(late, ROOMS));
  }, 120_000);

  it('keeps them though the replica came after the nodes, and the primary took another id for it', async () => {
    const primary = await ownServer(AT_ONCE);
    const proxy = await entry(primary);
    const node = await start(urlOf(proxy), { probeIntervalMs: 50 });
    const { epoch } = await publishTiny(node.backplane, 'room', 'x');
    const replica = await follow(primary);
    const id = await primary.info('replication', 'master_replid');
    const record = () => primary.client.get(new Keys('lineage', 16).lineage(0));
    await waitFor(async () => (await record())?.startsWith(id!), { for: 'the record to name the id' });
    await handOver(primary, replica);
    await moved(proxy, replica, node);
    expect(await publishTiny(node.backplane, 'room', 'y')).toMatchObject({ epoch, offset: 2, error: null });
  }, 60_000);

  it('keeps them without asking nodes what they know: the proof is enough', async () => {
    const [primary, replica] = await pair();
    const proxy = await entry(primary);
    const node = await start(urlOf(proxy), { probeIntervalMs: 60_000 });
    const { epoch } = await publishTiny(node.backplane, 'room', 'x');
    const notes = await primary.client.keys('lineage*:beat:*');
    expect(await primary.client.del(...notes)).toBeGreaterThan(0);
    await handOver(primary, replica);
    await moved(proxy, replica, node);
    expect(await publishTiny(node.backplane, 'room', 'y')).toMatchObject({ epoch, offset: 2, error: null });
  }, 60_000);

  it('keeps them after one that was not planned, too, and both are counted', async () => {
    let [primary, replica] = await pair();
    const proxy = await entry(primary);
    const promotions: string[] = [];
    const metrics = { ...silentMetrics, promotion: (kind: string) => void promotions.push(kind) };
    const node = await start(urlOf(proxy), { metrics });
    const before = await publishTiny(node.backplane, 'room', 'x');
    await primary.kill();
    await replica.client.replicaof('NO', 'ONE');
    await moved(proxy, replica, node);
    const { epoch, offset } = await publishTiny(node.backplane, 'room', 'y');
    expect(epoch).not.toBe(before.epoch);
    [primary, replica] = [replica, await follow(replica)];
    await handOver(primary, replica);
    await moved(proxy, replica, node);
    expect(await publishTiny(node.backplane, 'room', 'z')).toMatchObject({ epoch, offset: offset + 1 });
    expect(promotions).toEqual(['unplanned', 'planned']);
  }, 60_000);
});

describe('a failover that was not planned', () => {
  it('gives every room a new epoch, once, and no ack of the old one counts', async () => {
    const [primary, replica] = await pair();
    const proxy = await entry(primary);
    const [a, b] = [await start(urlOf(proxy)), await start(urlOf(proxy))];
    const { epoch } = await publishTiny(a.backplane, 'room', 'x');
    await a.backplane.acks.ack('room', KEPT, 'ann', [epoch, 1]);
    await untilCopied(replica);
    await primary.kill();
    await replica.client.replicaof('NO', 'ONE');
    await moved(proxy, replica, a, b);
    // Before anything else used the room: the numbering that is stored is the old one.
    const receipt = await a.backplane.acks.ack('room', KEPT, 'ann', [epoch, 1]);
    expect(receipt.outcome).toBe('other_epoch');
    expect(receipt.epoch).not.toBe(epoch);
    expect((await b.backplane.acks.list('room', KEPT, null, 10)).users).toEqual([]);
    const next = await publishTiny(b.backplane, 'room', 'y');
    expect(next).toMatchObject({ epoch: receipt.epoch, offset: 2 });
    expect(await publishTiny(a.backplane, 'room', 'z')).toMatchObject({ epoch: receipt.epoch, offset: 3 });
  }, 60_000);

  it('is told from a planned one though the former primary lives, and follows', async () => {
    const [primary, replica] = await pair();
    const proxy = await entry(primary);
    const node = await start(urlOf(proxy));
    const { epoch } = await publishTiny(node.backplane, 'room', 'x');
    await untilCopied(replica);
    // As a failover without coordination: both take writes for a moment.
    await replica.client.replicaof('NO', 'ONE');
    await publishTiny(node.backplane, 'room', 'lost');
    await primary.client.replicaof('127.0.0.1', replica.port);
    await moved(proxy, replica, node);
    const next = await publishTiny(node.backplane, 'room', 'y');
    expect(next).toMatchObject({ error: null, offset: 2 });
    expect(next.epoch).not.toBe(epoch);
  }, 60_000);
});

describe('lineages that differ by partition', () => {
  it('share a node: each message is stored once, in the order of its room', async () => {
    const server = await ownServer();
    const [id, runId] = [
      (await server.info('replication', 'master_replid'))!,
      (await server.info('server', 'run_id'))!,
    ];
    const keys = new Keys('lineage', 16);
    for (let i = 0; i < 8; i++) {
      const lineage = i < 4 ? 'lineage1' : 'lineage2';
      await server.client.set(keys.lineage(i), writeRecord({ home: id, runId, lineage }));
    }
    const [a, b] = [await start(server.url), await start(server.url)];
    const publishing = ROOMS.flatMap((room) =>
      [0, 1, 2].map((i) => publishTiny((i === 1 ? b : a).backplane, room, `${i}`)),
    );
    const settled = await Promise.all(publishing);
    expect(settled.filter(({ error }) => error !== null)).toEqual([]);
    const offsets = ROOMS.map((_, i) =>
      settled
        .slice(i * 3, i * 3 + 3)
        .map(({ offset }) => offset)
        .sort(),
    );
    expect(offsets).toEqual(ROOMS.map(() => [1, 2, 3]));
    expect((await b.backplane.clearHistory(ROOMS[0]!, KEPT)).offset).toBe(3);
    expect((await publishTiny(a.backplane, ROOMS[0]!, 'x')).offset).toBe(4);
  }, 30_000);
});

/** A server whose records say that it was promoted without proof: what is numbered there has a lineage. */
async function promotedServer() {
  const server = await ownServer();
  const [id, runId] = [
    (await server.info('replication', 'master_replid'))!,
    (await server.info('server', 'run_id'))!,
  ];
  const keys = new Keys('lineage', 16);
  for (const part of [...Array(16).keys()]) {
    await server.client.set(keys.lineage(part), writeRecord({ home: id, runId, lineage: 'lineage1' }));
  }
  return { server, id, keys };
}

describe('data and nodes of earlier versions', () => {
  it('go on in their epochs: a promoted Redis without records has the lineage that those gave it', async () => {
    const [primary, replica] = await pair();
    const keys = new Keys('lineage', 16);
    await primary.client.set(keys.meta('old'), 'lost-one');
    await replica.client.replicaof('NO', 'ONE');
    const id = (await replica.info('replication', 'master_replid'))!;
    await replica.client.set(keys.meta('room'), meta('epoch--1', 7, id.slice(0, 8)));
    const node = await start(replica.url);
    expect(await publishTiny(node.backplane, 'room', 'x')).toMatchObject({ epoch: 'epoch--1', offset: 8 });
  }, 30_000);

  it('and this one leave the epochs of the other alone after a planned failover', async () => {
    // After one that was not planned, so that this version compares.
    const { server, id, keys } = await promotedServer();
    const node = await start(server.url);
    // A node of the earlier version numbered it, which names lineages by the server's id.
    await server.client.set(keys.meta('room'), meta('epoch--1', 7, id.slice(0, 8)));
    expect(await publishTiny(node.backplane, 'room', 'x')).toMatchObject({ epoch: 'epoch--1', offset: 8 });
    expect(await positions(node, ['room'])).toEqual(['epoch--1 8']);
    expect(await server.client.getrange(keys.meta('room'), 24, -1)).toBe(id.slice(0, 8));
    // One that a third server numbered, they do not.
    await server.client.set(keys.meta('room'), meta('epoch--1', 8, 'lineage0'));
    expect((await publishTiny(node.backplane, 'room', 'y')).epoch).not.toBe('epoch--1');
  }, 30_000);

  it('do not fight over a room whose record is gone', async () => {
    const { server } = await promotedServer();
    const a = await start(server.url);
    await server.client.flushall();
    const b = await start(server.url);
    const settled = [];
    for (const { backplane } of [b, a, b, a]) settled.push(await publishTiny(backplane, 'room', 'x'));
    expect(settled.map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
    expect(new Set(settled.map(({ epoch }) => epoch)).size).toBe(1);
  }, 30_000);
});

describe('a Redis that refuses writes', () => {
  it('lets nodes in that only have to write where the rooms are, and reads go on', async () => {
    const server = await ownServer();
    const node = await start(server.url);
    const { epoch } = await publishTiny(node.backplane, 'room', 'x');
    await server.client.config('SET', 'min-replicas-to-write', '1');
    await server.client.config('SET', 'min-replicas-max-lag', '1');
    await server.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await waitFor(
      async () => (await node.backplane.read('room', KEPT, { limit: 1 }).catch(() => null))?.offset === 1,
      {
        for: 'a read',
      },
    );
    await server.client.config('SET', 'min-replicas-to-write', '0');
    await untilReady(node);
    expect(await publishTiny(node.backplane, 'room', 'y')).toMatchObject({ epoch, offset: 2 });
  }, 30_000);
});

function meta(epoch: string, offset: number, lineage: string): Buffer {
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64BE(1n);
  numbers.writeBigUInt64BE(BigInt(offset), 8);
  return Buffer.concat([Buffer.from(epoch), numbers, Buffer.from(lineage)]);
}

async function pair(): Promise<[RedisServer, RedisServer]> {
  const primary = await ownServer(AT_ONCE);
  return [primary, await follow(primary)];
}
