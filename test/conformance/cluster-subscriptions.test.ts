/** What a node hears of a real Redis Cluster while one of its servers loses links, slots or its place: the rooms of the others go on. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Place } from '../../src/backplane/backplane.ts';
import { Envelope } from '../../src/backplane/envelope.ts';
import { silentMetrics } from '../../src/backplane/metrics.ts';
import { serverNumber } from '../../src/backplane/redis/cluster/slot-map.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { RedisBackplane, type RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { Heard, redisOptions } from '../support/backplanes.ts';
import { publishTiny, textsOf, UNKEPT } from '../support/frames.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';

const PARTITIONS = 32;

let cluster: RedisCluster;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  cluster = await RedisCluster.start();
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await cluster.settled();
});

afterAll(() => cluster.dispose());

/** A node with one room in each partition, and what it was told to check. */
class Listener {
  readonly keys: Keys;
  readonly options: RedisBackplaneOptions;
  readonly backplane: RedisBackplane;
  readonly rooms: readonly string[];
  readonly heard = new Heard();
  /** What each `resumed` had of these rooms, and null. */
  checked: (readonly Place[])[] = [];

  private constructor(settings: Partial<RedisBackplaneOptions>) {
    this.options = { ...redisOptions(cluster.url, settings), cluster: true, partitions: PARTITIONS };
    this.keys = new Keys(this.options.keyPrefix, PARTITIONS);
    this.backplane = new RedisBackplane(this.options);
    const byPartition = new Map<number, string>();
    for (let i = 0; byPartition.size < PARTITIONS; i++)
      byPartition.set(this.keys.partitionOf(`r:${i}`), `r:${i}`);
    this.rooms = [...byPartition.entries()].sort(([a], [b]) => a - b).map(([, room]) => room);
    this.heard.resumed = (has?: (place: Place) => boolean) => {
      this.checked.push([...this.rooms, null].filter((place) => has?.(place) ?? true));
    };
  }

  /** Joined to all of its rooms. */
  static async start(settings: Partial<RedisBackplaneOptions> = {}): Promise<Listener> {
    const listener = new Listener(settings);
    open.push(listener.backplane);
    await listener.backplane.start(listener.heard);
    await Promise.all(listener.rooms.map((room) => listener.backplane.subscribe(room)));
    await listener.#reached();
    listener.checked = [];
    return listener;
  }

  /** Its rooms that this server has, and null where that has what is one for the whole cluster. */
  async placesOf(server: RedisServer): Promise<Place[]> {
    const slots = new Set(await cluster.slots(server));
    const rooms: Place[] = this.rooms.filter((_, partition) =>
      slots.has(this.keys.slotOfPartition(partition)),
    );
    return (await cluster.owner(this.keys.signals())) === server ? [...rooms, null] : rooms;
  }

  /** Publishes in rooms, and resolves when all of them have heard it. */
  async exchange(rooms: readonly Place[], text: string): Promise<void> {
    const wanted = rooms.filter((room) => room !== null);
    const sent = await Promise.all(wanted.map((room) => publishTiny(this.backplane, room, text)));
    expect(sent.map(({ error }) => error)).toEqual(wanted.map(() => null));
    for (const room of wanted) await this.hears(room, text);
  }

  /**
   * Publishes in rooms until all of them have heard it. A server that was replaced serves subscribers on as a replica, until the
   * node has heard of it: what is published while they change is read, since rooms are checked once more.
   */
  async untilHeard(rooms: readonly string[], text: string): Promise<void> {
    const publishAgain = async () => {
      const silent = rooms.filter((room) => !textsOf(this.heard.of(room)).includes(text));
      await Promise.all(silent.map((room) => publishTiny(this.backplane, room, text)));
      return silent.length === 0;
    };
    await waitFor(publishAgain, { timeoutMs: 20_000, intervalMs: 100, for: `${text} in all rooms` });
  }

  /** Resolves when all servers can be called: a node is ready with most of them. */
  async #reached(): Promise<void> {
    const reach = () => Promise.all(this.rooms.map((room) => this.backplane.subscribers(room)));
    await waitFor(async () => (await reach()).length > 0, { timeoutMs: 20_000, for: 'all servers' });
  }

  async hears(room: string, text: string): Promise<void> {
    await waitFor(() => textsOf(this.heard.of(room)).includes(text), { for: `${text} in ${room}` });
  }

  /** Resolves when a signal of its own arrives. */
  async signals(text: string): Promise<void> {
    await this.backplane.signal(text);
    await waitFor(() => this.heard.signals.includes(text), { for: `the signal ${text}` });
  }

  /** Resolves when these were to be checked, which must be no others. */
  async untilChecked(places: readonly Place[]): Promise<void> {
    const sorted = (list: Iterable<Place>) => [...new Set(list)].map(String).sort();
    await waitFor(() => sorted(this.checked.flat()).length >= places.length, { for: 'rooms to be checked' });
    expect(sorted(this.checked.flat())).toEqual(sorted(places));
  }
}

async function killSubscribeLink(server: RedisServer, nodeId: string): Promise<void> {
  const list = (await server.client.client('LIST')) as string;
  const line = list.split('\n').find((client) => client.includes(`name=roomcast-${nodeId}-sub `));
  await server.client.client('KILL', 'ID', /^id=(\d+)/.exec(line!)![1]!);
}

describe('a node on a Redis Cluster', () => {
  it('whose subscribe link to one server is lost checks the rooms of that server, and hears the others meanwhile', async () => {
    const listener = await Listener.start();
    for (const server of await cluster.masters()) {
      listener.checked = [];
      const places = await listener.placesOf(server);
      const others = listener.rooms.filter((room) => !places.includes(room));
      await killSubscribeLink(server, listener.options.nodeId);
      await listener.exchange(others, `while ${server.port} is deaf`);
      await listener.untilChecked(places);
      await listener.exchange(listener.rooms, `after ${server.port}`);
      await listener.signals(`after ${server.port}`);
    }
  });

  it('whose slots move goes on where they are, and checks their rooms alone', async () => {
    const listener = await Listener.start();
    const [source, target] = (await cluster.masters()) as [RedisServer, RedisServer];
    const partitions = [...Array(PARTITIONS).keys()];
    const slots = new Set(await cluster.slots(source));
    const moved = partitions
      .filter((partition) => slots.has(listener.keys.slotOfPartition(partition)))
      .slice(0, 4);
    const rooms = moved.map((partition) => listener.rooms[partition]!);
    await cluster.move(
      moved.map((partition) => listener.keys.slotOfPartition(partition)),
      target,
    );
    await listener.untilChecked(rooms);
    await listener.exchange(listener.rooms, 'after');
    expect(await Promise.all(rooms.map((room) => listener.backplane.subscribers(room)))).toEqual(
      rooms.map(() => 1),
    );
    for (const room of listener.rooms) expect(textsOf(listener.heard.of(room))).toEqual(['after']);
    await cluster.move(
      moved.map((partition) => listener.keys.slotOfPartition(partition)),
      source,
    );
    await listener.exchange(listener.rooms, 'back');
    for (const room of listener.rooms) expect(textsOf(listener.heard.of(room))).toEqual(['after', 'back']);
  });

  it('tells whoever hears of it from a replica on which server it published what has no number', async () => {
    const listener = await Listener.start();
    const room = listener.rooms[0]!;
    const channel = listener.keys.channel(room);
    const master = await cluster.owner(channel);
    const [replica] = await cluster.replicas(master);
    const subscriber = replica!.client.duplicate();
    const copies: Buffer[] = [];
    subscriber.on('smessageBuffer', (_channel, bytes: Buffer) => copies.push(bytes));
    await subscriber.ssubscribe(channel);
    await publishTiny(listener.backplane, room, 'a', { history: UNKEPT });
    await waitFor(() => copies.length === 1, { for: 'the replica to pass it on' });
    subscriber.disconnect();
    expect(await master.client.exists(listener.keys.log(room))).toBe(0);
    const id = String(await master.client.cluster('MYID'));
    expect(Envelope.parse(copies[0]!)?.publishedOn).toBe(serverNumber(id));
  });

  it('hears signals wherever their slot is, and learns when it may have missed some', async () => {
    const listener = await Listener.start();
    const source = await cluster.owner(listener.keys.signals());
    const target = (await cluster.masters()).find((server) => server !== source)!;
    await listener.signals('one');
    await cluster.move([listener.keys.slotOfNodes], target);
    await listener.untilChecked([null]);
    await listener.signals('two');
    await cluster.move([listener.keys.slotOfNodes], source);
    await listener.signals('three');
    expect(listener.heard.signals).toEqual(['one', 'two', 'three']);
  });

  it('hears the rooms of a server that another one took the place of, and checks no others', async () => {
    const listener = await Listener.start();
    for (const server of await cluster.masters()) {
      listener.checked = [];
      const places = await listener.placesOf(server);
      await cluster.failover(server);
      await listener.untilChecked(places);
      await listener.untilHeard(listener.rooms, `instead of ${server.port}`);
      await cluster.settled();
    }
  });

  it('finds by its probe that one server is silent, says which, and replaces that link alone', async () => {
    const [server] = (await cluster.masters()) as [RedisServer];
    const slots = new Set(await cluster.slots(server));
    const proxy = await DeafeningProxy.start(server.port);
    open.push({ close: async () => proxy.dispose() });
    await server.client.config('SET', 'cluster-announce-port', proxy.port);
    open.push({ close: () => server.client.config('SET', 'cluster-announce-port', 0).then(() => undefined) });
    // Until all servers say where the proxy is.
    await cluster.settled();
    const replaced: string[] = [];
    const metrics = { ...silentMetrics, reconnected: (link: string) => replaced.push(link) };
    const listener = await Listener.start({ probeIntervalMs: 50, metrics });
    const places: Place[] = listener.rooms.filter((_, i) => slots.has(listener.keys.slotOfPartition(i)));
    if (slots.has(listener.keys.slotOfNodes)) places.push(null);
    await listener.exchange(listener.rooms, 'before');
    listener.checked = [];
    expect(proxy.deafen(`roomcast-${listener.options.nodeId}-sub`)).toBe(1);
    await waitFor(() => replaced.length > 0, { for: 'the link to be replaced' });
    await listener.untilChecked(places);
    await listener.exchange(listener.rooms, 'after');
    expect(replaced).toEqual(['subscribe']);
    for (const room of listener.rooms) {
      expect(await publishTiny(listener.backplane, room, 'unkept', { history: UNKEPT })).toMatchObject({
        error: null,
      });
      await listener.hears(room, 'unkept');
    }
  });
});
