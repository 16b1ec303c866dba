/** What a node subscribes to on the servers of a real Redis Cluster, while slots move and links are lost. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Place } from '../../src/backplane/backplane.ts';
import { draftEnvelope, finishEnvelope } from '../../src/backplane/envelope.ts';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { Link } from '../../src/backplane/redis/link/link.ts';
import { Subscriptions } from '../../src/backplane/redis/subscribe/subscriptions.ts';
import { systemClock } from '../../src/util/clock.ts';
import { randomId } from '../../src/util/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { redisAddress } from '../../src/util/redis-url.ts';
import { framesOf, OFFSET_AT, tinyFrame } from '../support/frames.ts';
import type { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const PARTITIONS = 16;

let cluster: RedisCluster;
const open: Subscriber[] = [];

beforeAll(async () => {
  cluster = await RedisCluster.start({ masters: 2, replicas: 0 });
});

afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await cluster.settled();
});

afterAll(() => cluster.dispose());

/** The subscriptions of one node, on one server. */
class Subscriber {
  readonly keys: Keys;
  readonly nodeId = randomId(8);
  readonly link: Link;
  readonly subscriptions: Subscriptions;
  /** What arrived, as `room:text`, in order. */
  readonly heard: string[] = [];
  readonly signals: string[] = [];
  readonly probes: string[] = [];
  readonly regained: (readonly Place[])[] = [];
  restores = 0;
  misplaced = 0;

  constructor(server: RedisServer, keys: Keys, hasSignals = false) {
    this.keys = keys;
    const common = { nodeId: this.nodeId, commandTimeoutMs: 2_000, metrics: silentMetrics };
    const address = redisAddress(server.url);
    const watcher = {
      up: () => void this.subscriptions.linkUp(),
      down: () => this.subscriptions.linkDown(),
    };
    this.link = new Link('subscribe', { ...common, address, clock: systemClock, log: silentLog }, watcher);
    this.subscriptions = new Subscriptions(this.link, keys, {
      ...common,
      isSharded: true,
      probeChannel: null,
      signalChannel: keys.signals(),
      hasSignals,
      envelope: (room, envelope) => {
        for (const { text } of framesOf(envelope)) this.heard.push(`${room}:${text}`);
      },
      presence: () => undefined,
      probe: (bytes) => this.probes.push(bytes.toString()),
      signal: (bytes) => this.signals.push(bytes.toString()),
      restored: () => this.restores++,
      regained: (places) => this.regained.push([...places]),
      misplaced: () => this.misplaced++,
    });
    open.push(this);
  }

  static async on(server: RedisServer, keys: Keys, hasSignals = false): Promise<Subscriber> {
    const subscriber = new Subscriber(server, keys, hasSignals);
    await subscriber.link.connect(5_000);
    await waitFor(() => subscriber.subscriptions.isRestored, { for: 'the link to work' });
    return subscriber;
  }

  close(): void {
    this.subscriptions.close();
    this.link.close();
  }
}

function newKeys(): Keys {
  return new Keys(`t${randomId(6)}`, PARTITIONS);
}

/** So many rooms of a partition. */
function roomsOf(keys: Keys, partition: number, count: number): string[] {
  const rooms: string[] = [];
  for (let i = 0; rooms.length < count; i++) {
    if (keys.partitionOf(`röom:${i}`) === partition) rooms.push(`röom:${i}`);
  }
  return rooms;
}

async function publish(keys: Keys, room: string, text: string): Promise<number> {
  const server = await cluster.owner(keys.channel(room));
  const draft = draftEnvelope([{ frame: tinyFrame(text), offsetAt: OFFSET_AT, exclude: 0 }], 'node0000', 1);
  const { bytes } = finishEnvelope(draft, 'epoch001', 1);
  return (await server.client.spublish(keys.channel(room), bytes)) as number;
}

/** Both masters, the one that has this partition first. */
async function mastersFor(keys: Keys, partition: number): Promise<[RedisServer, RedisServer]> {
  const [one, two] = await cluster.masters();
  const owner = await cluster.owner(keys.slotOfPartition(partition));
  return owner === one ? [one!, two!] : [two!, one!];
}

/** Resolves with all that is heard when this is published and has arrived. */
async function untilHeard(subscriber: Subscriber, keys: Keys, room: string, text: string): Promise<string[]> {
  await publish(keys, room, text);
  await waitFor(() => subscriber.heard.includes(`${room}:${text}`), { for: `${text} in ${room}` });
  return subscriber.heard;
}

describe('subscriptions on a server of a cluster', () => {
  it('take one command for the rooms of a slot, and hear what is published in each', async () => {
    const keys = newKeys();
    const [server] = await mastersFor(keys, 0);
    const subscriber = await Subscriber.on(server, keys);
    const own = Array.from({ length: PARTITIONS }, (_, i) => i).slice(0, PARTITIONS / 2 - 1);
    const rooms = own.flatMap((partition) => roomsOf(keys, partition, 5));
    const before = await server.calls('ssubscribe');
    await Promise.all(rooms.map((room) => subscriber.subscriptions.subscribe(room)));
    expect((await server.calls('ssubscribe')) - before).toBe(own.length);
    for (const room of rooms) expect(await publish(keys, room, 'x')).toBe(1);
    await waitFor(() => subscriber.heard.length === rooms.length);
    expect(subscriber.heard).toEqual(rooms.map((room) => `${room}:x`));
    subscriber.subscriptions.unsubscribe(rooms[0]!);
    await waitFor(async () => (await publish(keys, rooms[0]!, 'y')) === 0);
    expect(await publish(keys, rooms[1]!, 'y')).toBe(1);
    await subscriber.subscriptions.heard();
    expect(subscriber.heard.slice(rooms.length)).toEqual([`${rooms[1]}:y`]);
  });

  it('hear themselves and signals, on channels of slots that the server has', async () => {
    const keys = newKeys();
    const server = await cluster.owner(keys.signals());
    const subscriber = await Subscriber.on(server, keys, true);
    const { subscriptions } = subscriber;
    await server.client.spublish(keys.signals(), 'all');
    await waitFor(() => subscriber.signals.length === 1);
    expect(subscriptions.hearsProbe).toBe(false);
    const channels = ['one', 'two'].map((name) => `${keys.signals()}:${name}`);
    for (const channel of channels) {
      subscriptions.probeOn(channel);
      expect(subscriptions.hearsProbe).toBe(false);
      await waitFor(() => subscriptions.hearsProbe);
      for (const one of channels) await server.client.spublish(one, one);
      await subscriptions.heard();
    }
    expect(subscriber.probes).toEqual(channels);
    subscriptions.probeOn(null);
    expect(await server.client.spublish(channels[1]!, 'x')).toBe(0);
    expect(subscriber.misplaced).toBe(0);
  });

  it('come back after a lost link, all of them', async () => {
    const keys = newKeys();
    const [server] = await mastersFor(keys, 0);
    const subscriber = await Subscriber.on(server, keys);
    const rooms = roomsOf(keys, 0, 1_100);
    await Promise.all(rooms.map((room) => subscriber.subscriptions.subscribe(room)));
    const before = await server.calls('ssubscribe');
    await cluster.cut('pubsub', [server]);
    await waitFor(() => subscriber.restores === 2);
    expect((await server.calls('ssubscribe')) - before).toBe(3);
    for (const room of [rooms[0]!, rooms.at(-1)!]) await untilHeard(subscriber, keys, room, 'after');
    expect(subscriber.regained).toEqual([]);
  });

  it('learn at once that a slot is lost, and go on on the server that has it', async () => {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 3);
    const [here, there] = [await Subscriber.on(source, keys), await Subscriber.on(target, keys)];
    const rooms = roomsOf(keys, 3, 600);
    const [stays] = roomsOf(keys, await stayingPartition(keys, source, 3), 1);
    await Promise.all([...rooms, stays!].map((room) => here.subscriptions.subscribe(room)));
    await cluster.move([keys.slotOfPartition(3)], target);
    await waitFor(() => here.misplaced > 0, { for: 'the news that rooms are lost' });
    there.subscriptions.takeOver(here.subscriptions, (place) => rooms.includes(place!));
    await waitFor(() => there.regained.length > 0);
    expect(there.regained.flat().sort()).toEqual(rooms.sort());
    for (const room of [rooms[0]!, rooms.at(-1)!]) await untilHeard(there, keys, room, 'after');
    await untilHeard(here, keys, stays!, 'stays');
    expect(here.heard).toEqual([`${stays}:stays`]);
    expect(here.regained).toEqual([]);
    // It is asked of the server that has it, whatever comes next.
    there.subscriptions.unsubscribe(rooms[0]!);
    await waitFor(async () => (await publish(keys, rooms[0]!, 'x')) === 0);
  });

  /** A room that its next server subscribes to, and does not have yet. */
  async function takenOverEarly() {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 5);
    const [here, there] = [await Subscriber.on(source, keys), await Subscriber.on(target, keys)];
    const [room] = roomsOf(keys, 5, 1) as [string];
    await here.subscriptions.subscribe(room);
    there.subscriptions.takeOver(here.subscriptions, (place) => place === room);
    await waitFor(() => there.misplaced > 1, { for: 'the target to refuse' });
    return { keys, target, room, here, there };
  }

  it('hear each message once, in order, when they are taken over before the slot moves', async () => {
    const { keys, target, room, here, there } = await takenOverEarly();
    expect(await publish(keys, room, 'meanwhile')).toBe(1);
    await waitFor(() => here.heard.length === 1);
    await cluster.move([keys.slotOfPartition(5)], target);
    await waitFor(() => there.regained.length === 1);
    await untilHeard(there, keys, room, 'after');
    expect([here.heard, there.heard]).toEqual([[`${room}:meanwhile`], [`${room}:after`]]);
    expect(there.regained).toEqual([[room]]);
  });

  it('are not called heard on their new server before all has arrived from the former one', async () => {
    const { keys, room, here, there } = await takenOverEarly();
    const { stream } = here.link.redis;
    stream.pause();
    await publish(keys, room, 'late');
    let isHeard = false;
    const heard = there.subscriptions.heard(room).then(() => {
      isHeard = true;
    });
    await there.subscriptions.heard();
    expect([isHeard, here.heard]).toEqual([false, []]);
    stream.resume();
    await heard;
    expect(here.heard).toEqual([`${room}:late`]);
    here.link.close();
    await there.subscriptions.heard(room);
  });

  it('that move to and fro end where they were taken over last', async () => {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 5);
    const [here, there] = [await Subscriber.on(source, keys), await Subscriber.on(target, keys)];
    const [room] = roomsOf(keys, 5, 1) as [string];
    await here.subscriptions.subscribe(room);
    const take = (to: Subscriber, from: Subscriber) =>
      to.subscriptions.takeOver(from.subscriptions, (place) => place === room);
    take(there, here);
    take(here, there);
    take(there, here);
    take(here, there);
    await waitFor(() => here.regained.length === 1);
    await here.subscriptions.heard();
    expect(await publish(keys, room, 'x')).toBe(1);
    await waitFor(() => here.heard.length === 1);
    expect([here.heard, there.heard, there.regained]).toEqual([[`${room}:x`], [], []]);
  });

  it('that are asked for where the slot no longer is come true where it is', async () => {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 7);
    const [here, there] = [await Subscriber.on(source, keys), await Subscriber.on(target, keys)];
    const [room, given] = roomsOf(keys, 7, 2) as [string, string];
    await cluster.move([keys.slotOfPartition(7)], target);
    const asked = here.subscriptions.subscribe(room);
    const dropped = here.subscriptions.subscribe(given);
    await waitFor(() => here.misplaced > 0);
    there.subscriptions.takeOver(here.subscriptions, () => true);
    there.subscriptions.unsubscribe(given);
    await asked;
    await expect(dropped).rejects.toMatchObject({ code: 'unavailable' });
    await untilHeard(there, keys, room, 'x');
    expect(await publish(keys, given, 'x')).toBe(0);
  });

  it('that nobody takes over are asked for again until the server has them', async () => {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 9);
    const here = await Subscriber.on(source, keys);
    const [room, other] = roomsOf(keys, 9, 2) as [string, string];
    await here.subscriptions.subscribe(room);
    await cluster.move([keys.slotOfPartition(9)], target);
    const asked = here.subscriptions.subscribe(other);
    await waitFor(() => here.misplaced > 1);
    await cluster.move([keys.slotOfPartition(9)], source);
    await asked;
    await waitFor(() => here.regained.length > 0);
    expect(here.regained.flat().sort()).toEqual([room, other].sort());
    await untilHeard(here, keys, room, 'again');
    expect(here.link.isUp).toBe(true);
    expect(here.restores).toBe(1);
  });

  it('fail in the end for who asks, and keep those that were there, while nobody has the slot', async () => {
    const keys = newKeys();
    const [source] = await mastersFor(keys, 11);
    const here = await Subscriber.on(source, keys);
    const [room, other] = roomsOf(keys, 11, 2) as [string, string];
    await here.subscriptions.subscribe(room);
    const slot = keys.slotOfPartition(11);
    const servers = await cluster.masters();
    for (const server of servers) await server.client.cluster('DELSLOTS', slot);
    await expect(here.subscriptions.subscribe(other)).rejects.toMatchObject({
      code: 'unavailable',
      message: 'redis: CLUSTERDOWN Hash slot not served',
    });
    await source.client.cluster('ADDSLOTS', slot);
    await waitFor(() => here.regained.length > 0);
    expect(here.regained).toEqual([[room]]);
    await cluster.settled();
    await untilHeard(here, keys, room, 'again');
  });

  it('move from a server whose link is lost at once', async () => {
    const keys = newKeys();
    const [source, target] = await mastersFor(keys, 13);
    const [here, there] = [await Subscriber.on(source, keys), await Subscriber.on(target, keys)];
    const [room] = roomsOf(keys, 13, 1) as [string];
    await here.subscriptions.subscribe(room);
    here.link.close();
    await cluster.move([keys.slotOfPartition(13)], target);
    there.subscriptions.takeOver(here.subscriptions, () => true);
    await waitFor(() => there.regained.length === 1);
    await untilHeard(there, keys, room, 'x');
  });
});

/** Another partition of the same server. */
async function stayingPartition(keys: Keys, server: RedisServer, but: number): Promise<number> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    if (partition !== but && (await cluster.owner(keys.slotOfPartition(partition))) === server)
      return partition;
  }
  throw new Error('the server has no other partition');
}
