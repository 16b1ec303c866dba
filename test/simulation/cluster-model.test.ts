/**
 * The model of a Redis Cluster does what a Redis Cluster does: the same calls, drawn at random, go to each server of both as bytes, while
 * slots move and masters hand over. Scripts are those that nodes ship. `CHAOS_SEED` repeats a run; `CHAOS_SECONDS` makes it longer.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { draftEnvelope, writePublishOptions } from '../../src/backplane/envelope.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import {
  ALL_SCRIPTS,
  ackScript,
  clearScript,
  historyScript,
  lineageScript,
  presenceScript,
  publishScript,
  type Script,
} from '../../src/backplane/redis/scripts/scripts.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisCluster } from '../support/redis-cluster.ts';
import { waitFor } from '../support/wait.ts';
import { ClusterModel } from './redis/cluster/cluster-model.ts';

const MASTERS = 3;
const SERVERS = 2 * MASTERS;
/** Each with a move of a slot, and every other one with a failover: about two seconds. */
const ROUNDS = Math.max(2, Math.round(Number(process.env.CHAOS_SECONDS ?? 0) / 2));
/** Of each server, in each state of a move. */
const CALLS = 50;
const AT_ONCE = 25;
const LIFE_MS = 600_000;

/** One of the two clusters, as the test reaches it. */
interface Side {
  /** By number of the server. */
  readonly ports: readonly number[];
  readonly clients: readonly Redis[];
  readonly listeners: readonly Listener[];
  /** Ids of the servers. */
  readonly ids: string[];
}

interface Call {
  readonly what: string;
  readonly words: readonly (string | Buffer)[];
}

const keys = new Keys('rc', 8);
const slots = Array.from({ length: keys.partitions }, (_, partition) => keys.slotOfPartition(partition));
const rooms = Array.from({ length: 16 }, (_, i) => `room-${i}`);
let cluster: RedisCluster;
let model: ClusterModel;
let doors: Server[];
let real: Side;
let modelled: Side;

/**
 * One whose masters have the configuration epochs that they were given: while replicas join, a master can take one of them for another
 * master with its own epoch, and then it takes a new one. The model begins where that did not happen.
 */
async function untouchedCluster(): Promise<RedisCluster> {
  for (let tries = 0; tries < 5; tries++) {
    const started = await RedisCluster.start({ masters: MASTERS });
    const infos = await Promise.all(started.servers.map(({ client }) => client.call('CLUSTER', 'INFO')));
    if (infos.every((info) => String(info).includes(`cluster_current_epoch:${MASTERS}\r`))) return started;
    await started.dispose();
  }
  throw new Error('masters of a new cluster take new configuration epochs each time');
}

beforeAll(async () => {
  cluster = await untouchedCluster();
  doors = await Promise.all(Array.from({ length: SERVERS }, (_, number) => door(number)));
  const modelPorts = doors.map(portOf);
  model = new ClusterModel({
    ...{ masters: MASTERS, replicas: 1, nowMicros: () => Date.now() * 1000 },
    place: (number) => ({ host: '127.0.0.1', port: modelPorts[number]! }),
  });
  real = await side(cluster.servers.map(({ port }) => port));
  modelled = await side(modelPorts);
}, 30_000);

afterAll(async () => {
  for (const { clients, listeners } of [real, modelled]) {
    for (const client of clients) client.disconnect();
    for (const listener of listeners) listener.end();
  }
  for (const one of doors) one.close();
  await cluster.dispose();
});

test(
  'random calls get the same replies as from a Redis Cluster, while slots move and masters hand over',
  async () => {
    const random = new Random(chaosSeed());
    await compareViews('at first');
    for (let round = 0; round < ROUNDS; round++) {
      await subscribeSome(random);
      await compareCalls(random, `round ${round}`);
      const slot = random.pick(slots);
      const source = model.owner(slot)!.number;
      const targets = model.servers.filter(({ isMaster, number }) => isMaster && number !== source);
      await moveSlot(random, slot, source, random.pick(targets).number);
      await compareCalls(random, `round ${round}, moved`);
      if (round % 2 === 1) await failOver(random);
    }
  },
  60_000 + ROUNDS * 20_000,
);

// ---- what happens to both ------------------------------------------------------------------------------------

/** Key by key, with calls in between. */
async function moveSlot(random: Random, slot: number, source: number, target: number): Promise<void> {
  const what = `slot ${slot} from ${source} to ${target}`;
  await both(async ({ clients, ids }) => {
    await clients[target]!.cluster('SETSLOT', slot, 'IMPORTING', ids[source]!);
    await clients[source]!.cluster('SETSLOT', slot, 'MIGRATING', ids[target]!);
  });
  await compareCalls(random, `${what}: begun`);
  const left = (await real.clients[source]!.cluster('GETKEYSINSLOT', slot, 10_000)) as string[];
  const names = shuffled(random, left.sort());
  const half = Math.ceil(names.length / 2);
  for (const some of [names.slice(0, half), names.slice(half)].filter(({ length }) => length > 0)) {
    await both(({ clients, ports }) =>
      clients[source]!.call('MIGRATE', '127.0.0.1', ports[target]!, '', 0, 5_000, 'KEYS', ...some),
    );
    await compareCalls(random, `${what}: some keys moved`);
  }
  // Keys that were made in between cannot be: they would have been asked for at the target.
  const masters = model.servers.filter(({ isMaster }) => isMaster).map(({ number }) => number);
  await both(async ({ clients, ids }) => {
    for (const number of [target, source, ...masters.filter((one) => one !== target && one !== source)])
      await clients[number]!.cluster('SETSLOT', slot, 'NODE', ids[target]!);
  });
  await cluster.settled();
  await compareViews(`${what}: over`);
}

async function failOver(random: Random): Promise<void> {
  const master = random.pick(model.servers.filter(({ isMaster }) => isMaster));
  const [replica] = model.replicasOf(master);
  const streamsOf = (number: number) => both(({ clients }) => streamOf(clients[number]!));
  const before = await streamsOf(master.number);
  await cluster.failover(cluster.servers[master.number]!);
  await cluster.settled();
  model.handOver(replica!, master);
  const when = `${replica!.number} took over from ${master.number}`;
  // It begins after all that the other had.
  const after = await streamsOf(replica!.number);
  expect({ when, later: after.map(({ since }, i) => since > before[i]!.offset) }).toEqual({
    when,
    later: [true, true],
  });
  await compareViews(when);
  await compareCalls(random, 'after the failover');
}

function both<T>(work: (side: Side) => Promise<T>): Promise<T[]> {
  return Promise.all([real, modelled].map(work));
}

// ---- what is compared ----------------------------------------------------------------------------------------

async function compareCalls(random: Random, when: string): Promise<void> {
  for (let done = 0; done < CALLS; done += AT_ONCE) {
    const calls = model.servers.map(({ isMaster }) =>
      Array.from({ length: AT_ONCE }, () => anyCall(random, isMaster)),
    );
    const [expected, given] = await both((side) =>
      Promise.all(calls.map((some, number) => replies(side, number, some))),
    );
    for (const [number, some] of calls.entries()) {
      for (const [i, { what }] of some.entries()) {
        const at = { when, server: number, call: what };
        expect({ ...at, reply: given![number]![i] }).toEqual({ ...at, reply: expected![number]![i] });
      }
    }
  }
  await compareHeard(when);
}

function replies({ clients, ports }: Side, number: number, calls: readonly Call[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(({ words: [name, ...args] }) =>
      clients[number]!.callBuffer(String(name), args).then(
        (reply) => plain(reply, ports),
        (error: Error) => shownError(error.message, ports),
      ),
    ),
  );
}

function shownError(message: string, ports: readonly number[]): string {
  const reason = message.replace(/(\.| )? ?script: .*/s, '').replace(/user_script:\d+: /, '');
  return `refused: ${withoutPorts(reason, ports)}`;
}

function withoutPorts(text: string, ports: readonly number[]): string {
  return text.replace(/127\.0\.0\.1:(\d+)/g, (_, port: string) => `server ${ports.indexOf(Number(port))}`);
}

function plain(reply: unknown, ports: readonly number[]): unknown {
  if (Buffer.isBuffer(reply)) {
    const text = reply
      .toString('latin1')
      .replace(/user_script:\d+: /g, '')
      .replace(/ script: \w+, on @user_script:\d+\./g, '');
    // What a batch was refused with: its length counts what was cut from it.
    const isRefusal = text.charCodeAt(0) === 1;
    return withoutPorts(isRefusal ? text.slice(3) : text, ports);
  }
  return Array.isArray(reply) ? reply.map((one) => plain(one, ports)) : reply;
}

/** What servers push, those asked for and those not. Messages of each sender are in order; those of two may come either way. */
async function compareHeard(when: string): Promise<void> {
  const heardBy = async ({ listeners }: Side) => {
    await Promise.all(listeners.map((listener) => listener.heardAll()));
    return listeners.map((listener) => listener.sorted());
  };
  const isSame = async () => {
    const [all, modelAll] = await both(heardBy);
    return JSON.stringify(all) === JSON.stringify(modelAll);
  };
  // What one server publishes reaches the others of its shard a moment later.
  await waitFor(isSame, { timeoutMs: 2_000, for: 'what was published to arrive' }).catch(() => undefined);
  const [all, modelAll] = await both(heardBy);
  expect({ when, heard: modelAll }).toEqual({ when, heard: all });
  for (const { listeners } of [real, modelled]) for (const listener of listeners) listener.forget();
}

async function compareViews(when: string): Promise<void> {
  const [views, modelViews] = await both(async ({ clients, ids, ports }) =>
    Promise.all(
      clients.map(async (client) => {
        const [nodes, info] = (await Promise.all([
          client.call('CLUSTER', 'NODES'),
          client.call('CLUSTER', 'INFO'),
        ])) as [string, string];
        const replication = await client.info('replication');
        return {
          nodes: shownNodes(nodes, ids, ports),
          state: /cluster_(state:\w+)/.exec(info)?.[1],
          epoch: /cluster_current_epoch:(\d+)/.exec(info)?.[1],
          role: /role:(\w+)/.exec(replication)?.[1],
          wasPromoted: !/master_replid2:0{40}/.test(replication),
        };
      }),
    ),
  );
  expect({ when, views: modelViews }).toEqual({ when, views });
  const streams = ({ clients }: Side) => Promise.all(clients.map(streamOf));
  // A replica is as far as its master a moment later.
  const isSynced = async () => progress(await streams(real)).every(({ isAsFar }) => isAsFar);
  await waitFor(isSynced, { timeoutMs: 2_000, for: 'what was written to reach replicas' }).catch(
    () => undefined,
  );
  const [all, modelAll] = await both(streams);
  expect({ when, ids: sameness(modelAll!.map(({ ids }) => ids)) }).toEqual({
    when,
    ids: sameness(all!.map(({ ids }) => ids)),
  });
  expect({ when, progress: progress(modelAll!) }).toEqual({ when, progress: progress(all!) });
}

/** What INFO says of a server's streams of writes: their ids, how far it is, and where its own began. */
interface Stream {
  readonly ids: readonly [id: string, previousId: string];
  readonly offset: number;
  readonly since: number;
}

async function streamOf(client: Redis): Promise<Stream> {
  const text = await client.info('replication');
  const said = (name: string) => new RegExp(`^${name}:(-?\\w+)`, 'm').exec(text)?.[1] ?? '';
  const [offset, since] = [said('master_repl_offset'), said('second_repl_offset')].map(Number);
  return { ids: [said('master_replid'), said('master_replid2')], offset: offset!, since: since! };
}

/** As far as the two can agree: one counts bytes, the other writes. */
function progress(streams: readonly Stream[]) {
  return streams.map(({ ids, offset, since }) => {
    const ofShard = streams.filter((one) => one.ids[0] === ids[0]);
    return {
      isAsFar: ofShard.every((one) => one.offset === offset),
      isSince: ofShard.every((one) => one.since === since),
      goesOn: since === -1 ? null : offset >= since - 1,
    };
  });
}

/** Which of them are the same. */
function sameness(ids: readonly (readonly string[])[]): number[][] {
  const all = ids.flat();
  return ids.map((some) => some.map((id) => all.indexOf(id)));
}

function shownNodes(text: string, ids: readonly string[], ports: readonly number[]): string[] {
  const shown = text
    .trim()
    .split('\n')
    .map((line) => {
      const [id = '', where = '', flags, master = '-', , , epoch, , ...ranges] = line.split(' ');
      const port = Number(/:(\d+)@/.exec(where)?.[1]);
      const open = ranges.map((range) => range.replace(/[0-9a-f]{40}/, (found) => `${ids.indexOf(found)}`));
      return [ids.indexOf(id), ports.indexOf(port), flags, ids.indexOf(master), epoch, ...open].join(' ');
    });
  return shown.sort();
}

// ---- calls ---------------------------------------------------------------------------------------------------

const CALL_KINDS: readonly ((random: Random) => Call)[] = [
  publish,
  publish,
  publish,
  history,
  presence,
  ack,
  (random) =>
    scriptCall('lineage', lineageScript, [keys.lineage(random.whole(0, 7))], ['', `${'0'.repeat(80)}`]),
  (random) => scriptCall('clear', clearScript, clearKeys(random.pick(rooms)), ['epoch--1', '']),
  (random) => plainCall('GET', keys.lineage(random.whole(0, 7))),
  (random) => plainCall('SET', `${keys.meta(random.pick(rooms))}*`, String(random.whole(0, 9))),
  (random) => plainCall('EXISTS', ...some(random, rooms, 2).map((room) => keys.meta(room))),
  (random) => plainCall('EXISTS', ...clearKeys(random.pick(rooms))),
  (random) => plainCall('DEL', `${keys.meta(random.pick(rooms))}*`),
  (random) => plainCall('SPUBLISH', keys.channel(random.pick(rooms)), `plain ${random.whole(0, 1e9)}`),
  (random) => plainCall('PUBSUB', 'SHARDNUMSUB', keys.channel(random.pick(rooms))),
  (random) => plainCall('CLUSTER', 'KEYSLOT', keys.meta(random.pick(rooms))),
  () => plainCall('PING'),
];

/** What a replica holds shows when it has taken over. */
function anyCall(random: Random, isMaster: boolean): Call {
  if (isMaster && random.next() < 0.05)
    return plainCall('CLUSTER', 'COUNTKEYSINSLOT', String(random.pick(slots)));
  return random.pick(CALL_KINDS)(random);
}

type Arg = string | number | Buffer;

function plainCall(...words: string[]): Call {
  return { what: words.join(' '), words };
}

/** With declared keys. */
function scriptCall(name: string, script: Script, names: readonly string[], args: readonly Arg[]): Call {
  return call(name, script.shaOf({ isCluster: true }), [names.length, ...names, ...args]);
}

/** With keys of any slots, which are not declared. */
function manyCall(name: string, script: Script, names: readonly string[], args: readonly Arg[]): Call {
  return call(name, script.shaOfMany({ isCluster: true }), [0, ...args, ...names, names.length]);
}

function call(name: string, sha: string, args: readonly Arg[]): Call {
  const words = args.map((arg) => (Buffer.isBuffer(arg) ? arg : String(arg)));
  const shown = words.map((word) => (Buffer.isBuffer(word) ? `${word.length} bytes` : word));
  return { what: `${name} ${shown.join(' ')}`, words: ['evalsha', sha, ...words] };
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => [random.next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

function some<T>(random: Random, items: readonly T[], most: number): T[] {
  return shuffled(random, items).slice(0, random.whole(1, most));
}

const clearKeys = (room: string) => [keys.meta(room), keys.log(room)];

function publish(random: Random): Call {
  const names: string[] = [];
  const args: Arg[] = ['epoch--1', LIFE_MS, LIFE_MS, ''];
  for (const room of some(random, rooms, 3)) {
    const frames = Array.from({ length: random.whole(1, 3) }, () => ({
      ...{ frame: random.bytes(30), offsetAt: 5, exclude: 0, conflation: null },
    }));
    const keyed = random.next() < 0.3 ? [0] : [];
    const draft = Buffer.from(draftEnvelope(frames, 'node---1', 1000));
    writePublishOptions(draft, 0, { messages: 50, ageMs: LIFE_MS, bytes: 0 }, keyed.length);
    names.push(keys.meta(room), keys.log(room));
    for (const _ of keyed) names.push(keys.dedup(room, `key-${random.whole(0, 3)}`));
    args.push(draft);
    if (keyed.length > 0) args.push(Buffer.from([0, 0]));
  }
  return manyCall('publish', publishScript, names, args);
}

function history(random: Random): Call {
  const args = [0, 0, 50, LIFE_MS, 'epoch--1', LIFE_MS, '', LIFE_MS, random.whole(0, 1), 0];
  return scriptCall('history', historyScript, clearKeys(random.pick(rooms)), args);
}

function presence(random: Random): Call {
  const names = [`${keys.meta(rooms[0]!)}none`];
  const args: Arg[] = [Buffer.from([0, 0, 0, 1])];
  for (const room of some(random, rooms, 2)) {
    names.push(keys.presence(room), keys.presenceUsers(room), keys.presenceOrder(room), keys.channel(room));
    const who = random.next() < 0.4 ? '' : Buffer.from('\x91\xa3ann', 'latin1');
    args.push(random.pick(['0', '1']), '1', `node---1.${random.whole(1, 3)}`, who);
  }
  return manyCall('presence', presenceScript, names, args);
}

function ack(random: Random): Call {
  const names: string[] = [];
  const args: Arg[] = [LIFE_MS, LIFE_MS];
  for (const room of some(random, rooms, 2)) {
    names.push(keys.meta(room), keys.acks(room, 'epoch--1'));
    args.push('epoch--1', 'ann', random.whole(0, 20), '');
  }
  return manyCall('ack', ackScript, names, args);
}

// ---- servers and what they push ------------------------------------------------------------------------------

async function subscribeSome(random: Random): Promise<void> {
  for (let number = 0; number < SERVERS; number++) {
    for (let i = 0; i < 4; i++) {
      const how = random.next() < 0.7 ? 'SSUBSCRIBE' : 'SUNSUBSCRIBE';
      const channels = some(random, rooms, 2).map((room) => keys.channel(room));
      // Mostly of one slot.
      const asked = random.next() < 0.8 ? channels.slice(0, 1) : channels;
      for (const { listeners } of [real, modelled]) listeners[number]!.write(how, ...asked);
    }
  }
  await compareHeard('subscribed');
}

/** A connection that subscribes, as bytes. */
class Listener {
  readonly #socket: Socket;
  readonly #ports: readonly number[];
  #text = '';
  #pushes: string[] = [];
  #pongs = 0;
  #asked = 0;
  #heard: (() => void) | null = null;

  constructor(port: number, ports: readonly number[]) {
    this.#ports = ports;
    this.#socket = connect(port, '127.0.0.1').on('data', (bytes) => {
      this.#text += bytes.toString('latin1');
      this.#read();
    });
  }

  write(...words: string[]): void {
    this.#socket.write(
      `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
    );
  }

  /** Resolves when all that was sent before has arrived. */
  async heardAll(): Promise<void> {
    this.#asked++;
    this.write('PING');
    if (this.#pongs < this.#asked)
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
  }

  /** In an order that is the same whatever came first of what two senders sent. */
  sorted(): string[] {
    return [...this.#pushes].sort();
  }

  forget(): void {
    this.#pushes = [];
  }

  end(): void {
    this.#socket.destroy();
  }

  #read(): void {
    for (let end = replyEnd(this.#text, 0); end !== -1; end = replyEnd(this.#text, 0)) {
      const reply = this.#text.slice(0, end);
      this.#text = this.#text.slice(end);
      if (/^(\+PONG|\*2\r\n\$4\r\npong)/.test(reply)) {
        this.#pongs++;
        if (this.#pongs < this.#asked) continue;
        this.#heard?.();
        this.#heard = null;
      } else this.#pushes.push(withoutPorts(withoutCount(reply), this.#ports));
    }
  }
}

/** When a slot leaves, its channels go in an order of Redis's own: how many are left is up to that. */
function withoutCount(reply: string): string {
  return reply.startsWith('*3\r\n$12\r\nsunsubscribe') ? reply.replace(/:\d+\r\n$/, '') : reply;
}

function replyEnd(text: string, at: number): number {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd === -1) return -1;
  const count = Number(text.slice(at + 1, lineEnd));
  if (text[at] === '$') {
    const end = lineEnd + 2 + (count < 0 ? 0 : count + 2);
    return end > text.length ? -1 : end;
  }
  let end = lineEnd + 2;
  if (text[at] === '*') for (let i = 0; i < count && end !== -1; i++) end = replyEnd(text, end);
  return end;
}

async function side(ports: readonly number[]): Promise<Side> {
  const options = { protocol: 2, replyMapping: 'legacy', maxRetriesPerRequest: 0 } as const;
  const clients = ports.map((port) => new Redis(port, '127.0.0.1', options));
  for (const script of ALL_SCRIPTS)
    await Promise.all(clients.map((redis) => script.load({ redis, isCluster: true })));
  const ids = await Promise.all(clients.map(async (client) => String(await client.cluster('MYID'))));
  return { ports, clients, ids, listeners: ports.map((port) => new Listener(port, ports)) };
}

/** Where a model server is reached. */
async function door(number: number): Promise<Server> {
  const made = createServer((socket) => {
    const connection = model.servers[number]!.redis.connect({
      send: (bytes) => socket.write(bytes),
      end: () => socket.destroy(),
    });
    socket.on('data', (bytes) => connection.received(bytes));
    socket.on('close', () => connection.closed());
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return made;
}

function portOf(made: Server): number {
  const address = made.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
