import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inspectCluster } from '../../src/backplane/redis/cluster/inspect-cluster.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { RedisBackplane } from '../../src/backplane/redis/redis-backplane.ts';
import { buildMessageFrame } from '../../src/protocol/message-frame.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { randomId } from '../../src/util/ids.ts';
import { type LogFields, silentLog } from '../../src/util/log.ts';
import { Heard, redisOptions } from '../support/backplanes.ts';
import { freePort } from '../support/ports.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const HISTORY = { messages: 10_000, ageMs: 60_000 };
const PARTITIONS = 128;
const ROOMS = Array.from({ length: 60 }, (_, i) => `room${i}`);

interface Answer {
  readonly error: string | null;
  readonly offset: number;
}

let cluster: RedisCluster;
const open: RedisBackplane[] = [];

beforeAll(async () => {
  cluster = await RedisCluster.start({ replicas: 0 });
}, 60_000);

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

afterAll(() => cluster.dispose());

async function start(
  keyPrefix: string,
  url = cluster.url,
  isCluster = true,
  { startupTimeoutMs = 5_000, commandTimeoutMs = 5_000, log = silentLog } = {},
) {
  const settings = { keyPrefix, partitions: PARTITIONS, startupTimeoutMs, commandTimeoutMs };
  const backplane = new RedisBackplane({ ...redisOptions(url, settings), cluster: isCluster, log });
  open.push(backplane);
  const heard = new Heard();
  await backplane.start(heard);
  return { backplane, heard };
}

function publish(backplane: RedisBackplane, room: string, key: string | null = null): Promise<Answer> {
  const frame = buildMessageFrame(room, 1, 'ann', packValue('text'));
  return new Promise((resolve) => {
    backplane.publish({
      ...{ room, history: HISTORY, ...frame, key, exclude: 0 },
      settled: (error, _epoch, offset) => resolve({ error: error?.message ?? null, offset }),
    });
  });
}

function degraded(backplane: RedisBackplane): readonly string[] {
  const status = backplane.status();
  return status.ready ? (status.degraded ?? []) : [status.reason ?? ''];
}

/** Slots of this master that have partitions. */
async function usedSlots(keys: Keys, master: RedisServer): Promise<number[]> {
  const used = Array.from({ length: PARTITIONS }, (_, partition) => keys.slotOfPartition(partition));
  const own = new Set(await cluster.slots(master));
  return used.filter((slot) => own.has(slot));
}

describe('a Redis Cluster', () => {
  it('takes, hears and keeps what belongs to rooms of all masters', async () => {
    const prefix = randomId(6);
    const [a, b] = [await start(prefix), await start(prefix)];
    const keys = new Keys(prefix, PARTITIONS);
    const owners = await Promise.all(ROOMS.map((room) => cluster.owner(keys.meta(room))));
    expect(new Set(owners).size).toBe(3);
    await Promise.all(ROOMS.map((room) => b.backplane.subscribe(room)));
    const answers = await Promise.all(ROOMS.map((room) => publish(a.backplane, room, 'key')));
    expect(answers).toEqual(ROOMS.map(() => ({ error: null, offset: 1 })));
    for (const room of ROOMS) await b.heard.untilMessages(room, 1);
    const pages = await Promise.all(ROOMS.map((room) => b.backplane.read(room, HISTORY, { limit: 10 })));
    expect(pages.map(({ offset }) => offset)).toEqual(ROOMS.map(() => 1));
    const receipts = await Promise.all(
      ROOMS.map((room, i) => b.backplane.acks.ack(room, HISTORY, 'ann', [pages[i]!.epoch, 1])),
    );
    expect(receipts.map(({ outcome }) => outcome)).toEqual(ROOMS.map(() => 'kept'));
    const counts = await Promise.all(ROOMS.map((room) => a.backplane.subscribers(room)));
    expect(counts).toEqual(ROOMS.map(() => 1));
    await a.backplane.signal('to all');
    await waitFor(() => b.heard.signals.length === 1, { for: 'the signal' });
  });

  it('numbers each acknowledged message once and in order while slots move there and back', async () => {
    const prefix = randomId(6);
    const { backplane } = await start(prefix);
    const answers = new Map<string, Answer[]>(ROOMS.map((room) => [room, []]));
    let isOver = false;
    const publishing = ROOMS.map(async (room) => {
      while (!isOver) answers.get(room)!.push(await publish(backplane, room));
    });
    const [source, target] = (await cluster.masters()) as [RedisServer, RedisServer];
    const slots = (await usedSlots(new Keys(prefix, PARTITIONS), source)).slice(0, 4);
    await cluster.move(slots, target);
    await cluster.move(slots, source);
    isOver = true;
    await Promise.all(publishing);
    for (const given of answers.values()) {
      expect(given).toEqual(given.map((_, i) => ({ error: null, offset: i + 1 })));
    }
    expect(backplane.status()).toEqual({ ready: true, reason: null, degraded: [] });
  }, 30_000);

  it('is heard by who subscribed before its slot moved', async () => {
    const prefix = randomId(6);
    const [a, b] = [await start(prefix), await start(prefix)];
    const keys = new Keys(prefix, PARTITIONS);
    const [source, target] = (await cluster.masters()) as [RedisServer, RedisServer];
    const [slot] = (await usedSlots(keys, source)) as [number];
    const partition = Array.from({ length: PARTITIONS }, (_, i) => i).find(
      (i) => keys.slotOfPartition(i) === slot,
    );
    const room = Array.from({ length: 10_000 }, (_, i) => `moved${i}`).find(
      (one) => keys.partitionOf(one) === partition,
    )!;
    await b.backplane.subscribe(room);
    await publish(a.backplane, room);
    await b.heard.untilMessages(room, 1);
    await cluster.move([slot], target);
    await waitFor(async () => (await b.backplane.subscribers(room)) === 1, { for: 'the new subscription' });
    expect(await publish(a.backplane, room)).toEqual({ error: null, offset: 2 });
    await b.heard.untilMessages(room, 2);
    await cluster.move([slot], source);
  }, 30_000);
});

describe('a master that has another address', () => {
  it('is reached there, with the same data, and its rooms are heard', async () => {
    const prefix = randomId(6);
    const [a, b] = [await start(prefix), await start(prefix)];
    const keys = new Keys(prefix, PARTITIONS);
    const [moved] = (await cluster.masters()) as [RedisServer];
    const owners = await Promise.all(ROOMS.map((room) => cluster.owner(keys.meta(room))));
    const room = ROOMS[owners.indexOf(moved)]!;
    await b.backplane.subscribe(room);
    expect(await publish(a.backplane, room)).toEqual({ error: null, offset: 1 });
    // The server stays where it is; its cluster names the address of a proxy.
    const elsewhere = await DeafeningProxy.start(moved.port);
    const { resumes } = b.heard;
    await moved.client.config('SET', 'cluster-announce-port', elsewhere.port);
    try {
      await waitFor(() => elsewhere.connections >= 6, { for: 'the links of both nodes', timeoutMs: 20_000 });
      // What was published in between is read by whoever is told that something may be missing.
      await waitFor(() => b.heard.resumes > resumes, { for: 'rooms to be heard there', timeoutMs: 20_000 });
      expect(await publish(a.backplane, room)).toEqual({ error: null, offset: 2 });
      await b.heard.untilMessages(room, 2);
      expect(await a.backplane.read(room, HISTORY, { limit: 10 })).toMatchObject({ offset: 2 });
      expect(b.backplane.status()).toEqual({ ready: true, reason: null, degraded: [] });
    } finally {
      await moved.client.config('SET', 'cluster-announce-port', 0);
      await cluster.settled();
      elsewhere.dispose();
    }
  }, 60_000);
});

describe('a node that starts while a master is frozen', () => {
  /** What happens to the servers ends with the test. */
  async function whileFrozen(server: RedisServer, work: () => Promise<void>): Promise<void> {
    cluster.freeze(server);
    try {
      await work();
    } finally {
      cluster.thaw(server);
      await cluster.settled();
    }
  }

  it('serves the rooms of the others, says which one is missing, and gets it when it is back', async () => {
    const prefix = randomId(6);
    const keys = new Keys(prefix, PARTITIONS);
    const control = await cluster.owner(keys.leases());
    const frozen = (await cluster.masters()).find((master) => master !== control)!;
    const owners = await Promise.all(ROOMS.map((room) => cluster.owner(keys.meta(room))));
    // It is asked first.
    const url = [frozen, ...cluster.servers.filter((server) => server !== frozen)].map((one) => one.url);
    const lost = ROOMS[owners.indexOf(frozen)]!;
    let backplane: RedisBackplane;
    const told: string[] = [];
    const keep = ({ shard }: LogFields, message: string) => told.push(`${shard}: ${message}`);
    const log = { ...silentLog, warn: keep };
    await whileFrozen(frozen, async () => {
      ({ backplane } = await start(prefix, url.join(','), true, { commandTimeoutMs: 1_500, log }));
      const others = ROOMS.filter((_, i) => owners[i] !== frozen);
      const answers = await Promise.all(others.map((room) => publish(backplane, room)));
      expect(answers).toEqual(others.map(() => ({ error: null, offset: 1 })));
      expect(backplane.status().ready).toBe(true);
      expect(degraded(backplane)).toEqual([expect.stringContaining(String(frozen.port))]);
      expect((await publish(backplane, lost)).error).toContain(String(frozen.port));
      const line = `127.0.0.1:${frozen.port}: redis shard cannot be used yet`;
      await waitFor(() => told.includes(line), { for: 'a line in the log' });
    });
    await waitFor(() => degraded(backplane).length === 0, {
      for: 'the master to be back',
      timeoutMs: 20_000,
    });
    expect(await publish(backplane!, lost)).toEqual({ error: null, offset: 1 });
  }, 60_000);

  it('waits for the one that has the leases, and says so when the time is over', async () => {
    const prefix = randomId(6);
    const control = await cluster.owner(new Keys(prefix, PARTITIONS).leases());
    await whileFrozen(control, async () => {
      const short = { startupTimeoutMs: 1_000, commandTimeoutMs: 1_000 };
      await expect(start(prefix, cluster.url, true, short)).rejects.toThrow(String(control.port));
    });
  }, 60_000);
});

describe('a server of the cluster that came back without its disk, and is named first', () => {
  const SHORT = { startupTimeoutMs: 1_000, commandTimeoutMs: 1_000 };
  let empty: RedisServer;

  beforeAll(async () => {
    const busPort = { 'cluster-port': String(await freePort()) };
    empty = await RedisServer.start({ 'cluster-enabled': 'yes', ...busPort });
  });

  afterAll(() => empty.dispose());

  it('keeps no node from starting, and takes no master from one while it is the only one that answers', async () => {
    const prefix = randomId(6);
    const { backplane } = await start(prefix, `${empty.url},${cluster.url}`, true, SHORT);
    const publishAll = () => Promise.all(ROOMS.map((room) => publish(backplane, room)));
    expect(await publishAll()).toEqual(ROOMS.map(() => ({ error: null, offset: 1 })));
    const searches = await empty.calls('cluster\\|nodes');
    for (const server of cluster.servers) cluster.freeze(server);
    try {
      const asked = async () => (await empty.calls('cluster\\|nodes')) > searches + 1;
      await waitFor(asked, { for: 'the node to have searched twice', timeoutMs: 20_000 });
    } finally {
      for (const server of cluster.servers) cluster.thaw(server);
      await cluster.settled();
    }
    const isBack = () => backplane.status().ready && degraded(backplane).length === 0;
    await waitFor(isBack, { for: 'the masters to be back', timeoutMs: 20_000 });
    expect(await publishAll()).toEqual(ROOMS.map(() => ({ error: null, offset: 2 })));
  }, 60_000);

  it('hides nothing of the others from the doctor', async () => {
    const at = { keyPrefix: 'rc', partitions: PARTITIONS, timeoutMs: 2_000 };
    const found = await inspectCluster({ url: `${empty.url},${cluster.url}`, ...at });
    expect(found).toMatchObject({ lost: 0, masters: { length: 3 } });
  });

  it('is said to have no slots where no other is named', async () => {
    await expect(start('rc', empty.url, true, SHORT)).rejects.toThrow(
      new RegExp(`${empty.port} is part of no cluster with slots: name servers of your cluster in redis.url`),
    );
  });
});

describe('a node does not start', () => {
  it('on a server of a cluster without the setting, and says what to set', async () => {
    const [first] = cluster.servers;
    await expect(start('rc', first!.url, false)).rejects.toThrow(
      /part of a Redis Cluster: set redis\.cluster/,
    );
  });

  it('where no server that it was told of answers, and names them all', async () => {
    const ports = [await freePort(), await freePort()];
    const urls = ports.map((port) => `redis://127.0.0.1:${port}`).join(',');
    const all = ports.map((port) => `127.0.0.1:${port}`).join(', ');
    await expect(start('rc', urls, true, { startupTimeoutMs: 0 })).rejects.toThrow(
      `none of ${all} leads to a whole Redis Cluster: cannot reach Redis at 127.0.0.1:${ports[0]} within`,
    );
  });

  it('as one of a cluster on a Redis that has none, and says so', async () => {
    const single = await RedisServer.start();
    try {
      await expect(start('rc', single.url)).rejects.toThrow(/not part of a Redis Cluster/);
    } finally {
      await single.dispose();
    }
  });
});
