/** A real Redis Cluster of the test's own: masters, each with replicas, that can be killed, frozen, failed over and resharded. */
import { existsSync } from 'node:fs';
import { slotOf } from '../../src/backplane/redis/keys/slots.ts';
import { freePort } from './ports.ts';
import { RedisServer, type RedisSettings } from './redis.ts';
import { waitFor } from './wait.ts';

export interface RedisClusterOptions {
  /** Default 3. */
  readonly masters?: number;
  /** Of each master. Default 1. */
  readonly replicas?: number;
  /** Beside what makes a server part of a cluster. */
  readonly settings?: RedisSettings;
}

/** What one server says of another, as `CLUSTER NODES` has it. */
interface Member {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** Of whom it is a replica. */
  readonly masterId: string | null;
  /** Of its configuration: which of two claims to a slot counts. */
  readonly epoch: number;
  /** First and last of each range. */
  readonly slots: readonly (readonly [number, number])[];
}

/** CLUSTER FAILOVER alone is planned: nothing is lost. The others may lose writes. */
export type Failover = 'planned' | 'FORCE' | 'TAKEOVER';

/**
 * A server writes its view of the cluster to disk, and waits for the disk, at each step of a move: on a busy machine that stops
 * it for half a second, which is not what these tests are about.
 */
const MEMORY_FOLDER = '/dev/shm';
const SLOTS = 16_384;
const NODE_TIMEOUT_MS = 2_000;
const SETTLE_MS = 30_000;
/** Keys that one MIGRATE takes. */
const KEYS_AT_ONCE = 100;
const MIGRATE_TIMEOUT_MS = 5_000;

/**
 * What these tests need of each: it goes on where other shards are down, a replica takes over however long it was cut off, and
 * replicas follow at once.
 */
const SETTINGS: RedisSettings = {
  'cluster-enabled': 'yes',
  'cluster-node-timeout': String(NODE_TIMEOUT_MS),
  'cluster-require-full-coverage': 'no',
  'cluster-replica-validity-factor': '0',
  'repl-diskless-sync-delay': '0',
};

export class RedisCluster {
  /** All servers, also those that do not run: first the masters that it began with, then their replicas, then what was added. */
  readonly servers: RedisServer[] = [];
  readonly #options: RedisClusterOptions;
  /** Those that were killed or frozen: nobody asks them. */
  readonly #silent = new Set<RedisServer>();
  /** A slot that each had when it was last seen with slots, by port. */
  readonly #slotOf = new Map<number, number>();

  private constructor(options: RedisClusterOptions) {
    this.#options = options;
  }

  /** Resolves when all slots are served and every replica follows. Takes about three seconds: share one in a file. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const cluster = new RedisCluster(options);
    try {
      await cluster.#begin(options.masters ?? 3, options.replicas ?? 1);
      return cluster;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  /** URLs of the first servers, for `redis.url`. */
  get url(): string {
    return this.servers
      .slice(0, 3)
      .map(({ url }) => url)
      .join(',');
  }

  /** The masters that have slots, in the order of their first slot. */
  async masters(): Promise<RedisServer[]> {
    const members = (await this.#members()).filter(isMaster);
    return members.sort((a, b) => a.slots[0]![0] - b.slots[0]![0]).map(({ port }) => this.#at(port));
  }

  /** The master of a slot, or of a key. */
  async owner(of: number | string): Promise<RedisServer> {
    const slot = typeof of === 'number' ? of : slotOf(of);
    const member = (await this.#members()).filter(isMaster).find((one) => hasSlot(one, slot));
    if (member === undefined) throw new Error(`nobody has slot ${slot}`);
    return this.#at(member.port);
  }

  /** The replicas of a master that run. */
  async replicas(master: RedisServer): Promise<RedisServer[]> {
    const members = await this.#members();
    const id = members.find(({ port }) => port === master.port)?.id;
    const servers = members.filter(({ masterId }) => masterId === id).map(({ port }) => this.#at(port));
    return servers.filter((server) => !this.#silent.has(server));
  }

  /** The slots of a master. */
  async slots(master: RedisServer): Promise<number[]> {
    const member = (await this.#members()).find(({ port }) => port === master.port);
    return (member?.slots ?? []).flatMap(([first, last]) => range(first, last));
  }

  /** Moves slots with their keys, one after the other, as `redis-cli --cluster reshard` does. */
  async move(slots: readonly number[], target: RedisServer): Promise<void> {
    const members = await this.#members();
    const idOf = (server: RedisServer) => members.find(({ port }) => port === server.port)!.id;
    const masters = members.filter(({ flags }) => flags.includes('master')).map(({ port }) => this.#at(port));
    for (const slot of slots) {
      const source = this.#at(members.find((member) => isMaster(member) && hasSlot(member, slot))!.port);
      if (source === target) continue;
      await target.client.cluster('SETSLOT', slot, 'IMPORTING', idOf(source));
      await source.client.cluster('SETSLOT', slot, 'MIGRATING', idOf(target));
      await moveKeys(slot, source, target);
      const others = masters.filter((one) => one !== source && one !== target && !this.#silent.has(one));
      for (const one of [target, source, ...others])
        await one.client.cluster('SETSLOT', slot, 'NODE', idOf(target));
    }
  }

  /** Has a replica of this master take over; resolves with it when it has. */
  async failover(master: RedisServer, how: Failover = 'planned'): Promise<RedisServer> {
    const [replica] = await this.replicas(master);
    if (replica === undefined) throw new Error('the master has no replica that runs');
    await replica.client.call('CLUSTER', 'FAILOVER', ...(how === 'planned' ? [] : [how]));
    await this.#promoted(replica);
    return replica;
  }

  /** SIGKILL; `restart` runs it again. */
  async kill(server: RedisServer): Promise<void> {
    this.#silent.add(server);
    await server.kill();
  }

  async restart(server: RedisServer): Promise<void> {
    await server.restart();
    this.#silent.delete(server);
  }

  /** SIGSTOP: its connections stay open and nothing is answered. */
  freeze(server: RedisServer): void {
    this.#silent.add(server);
    server.freeze();
  }

  thaw(server: RedisServer): void {
    server.thaw();
    this.#silent.delete(server);
  }

  /** Resolves with the replica of this master that has taken over, once it has: after `kill` or `freeze`. */
  async successor(master: RedisServer): Promise<RedisServer> {
    const slot = this.#slotOf.get(master.port);
    if (slot === undefined) throw new Error(`${master.port} was no master when it was last looked at`);
    return waitFor(
      async () => {
        const now = await this.#members();
        const heir = now.find((member) => isMaster(member) && hasSlot(member, slot));
        if (heir !== undefined && heir.port !== master.port) return this.#at(heir.port);
        throw new Error(`nobody has:\n${shapeOf(now)}`);
      },
      { timeoutMs: SETTLE_MS, intervalMs: 20, for: 'a replica to take over' },
    );
  }

  /** One more master, without slots. Resolves when all know it. */
  async addMaster(): Promise<RedisServer> {
    const known = this.#awake;
    const server = await this.#spawn();
    this.servers.push(server);
    await this.#introduce([server, ...known]);
    await waitFor(async () => (await state(server)) === 'ok', {
      timeoutMs: SETTLE_MS,
      for: 'it to take part',
    });
    return server;
  }

  /**
   * Takes the majority away: all servers of all shards but the first are frozen. Resolves when the first master says that the
   * cluster is down; what it returns brings them back.
   */
  async loseQuorum(): Promise<() => Promise<void>> {
    const [first, ...others] = await this.masters();
    const replicas = await Promise.all(others.map((master) => this.replicas(master)));
    const frozen = [...others, ...replicas.flat()];
    for (const server of frozen) this.freeze(server);
    await waitFor(async () => (await state(first!)) === 'fail', {
      timeoutMs: SETTLE_MS,
      for: 'the cluster to be down',
    });
    return async () => {
      for (const server of frozen) this.thaw(server);
      await this.settled();
    };
  }

  /** Ends connections of clients: those of a type that `CLIENT KILL` knows. Returns how many. */
  async cut(type: 'pubsub' | 'normal', servers: readonly RedisServer[] = this.#awake): Promise<number> {
    const counts = await Promise.all(
      servers.map((server) => server.client.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')),
    );
    return (counts as number[]).reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when all that run agree on who has which slots, all slots are served, and every replica follows. */
  async settled(): Promise<void> {
    await waitFor(() => this.#agree(), { timeoutMs: SETTLE_MS, for: 'the cluster to agree' });
  }

  async dispose(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.dispose()));
  }

  get #awake(): RedisServer[] {
    return this.servers.filter((server) => !this.#silent.has(server));
  }

  async #begin(masters: number, replicas: number): Promise<void> {
    const starting = Array.from({ length: masters * (1 + replicas) }, () => this.#spawn());
    // One that fails ends the others too.
    for (const one of await Promise.allSettled(starting))
      if (one.status === 'fulfilled') this.servers.push(one.value);
    await Promise.all(starting);
    const { servers } = this;
    // Before they meet: two that have one configuration epoch have to find out, which takes time.
    for (const [i, server] of servers.slice(0, masters).entries()) {
      const [first, last] = [i, i + 1].map((share) => Math.round((share * SLOTS) / masters));
      await server.client.cluster('SET-CONFIG-EPOCH', i + 1);
      await server.client.call('CLUSTER', 'ADDSLOTSRANGE', first!, last! - 1);
    }
    await this.#introduce(servers);
    for (const [i, replica] of servers.slice(masters).entries()) {
      const id = await servers[i % masters]!.client.cluster('MYID');
      await replica.client.cluster('REPLICATE', id);
    }
    await this.settled();
  }

  async #spawn(): Promise<RedisServer> {
    const { settings = {} } = this.#options;
    const busPort = { 'cluster-port': String(await freePort()) };
    return RedisServer.start(
      { ...SETTINGS, ...busPort, ...settings },
      existsSync(MEMORY_FOLDER) ? { folder: MEMORY_FOLDER } : {},
    );
  }

  /** Each meets each: to wait for gossip would take seconds. */
  async #introduce(servers: readonly RedisServer[]): Promise<void> {
    for (const [i, server] of servers.entries()) {
      for (const other of servers.slice(i + 1)) {
        const [, busPort] = (await other.client.config('GET', 'cluster-port')) as string[];
        await server.client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, busPort!);
      }
    }
    const haveMet = async (server: RedisServer) => {
      const known = await membersAsSeenBy(server);
      return known.length >= servers.length && known.every(({ flags }) => !flags.includes('handshake'));
    };
    await waitFor(async () => (await Promise.all(servers.map(haveMet))).every(Boolean), {
      timeoutMs: SETTLE_MS,
      for: 'the servers to know each other',
    });
  }

  async #promoted(replica: RedisServer): Promise<void> {
    await waitFor(async () => (await replica.info('replication', 'role')) === 'master', {
      timeoutMs: SETTLE_MS,
      intervalMs: 5,
      for: 'the replica to take over',
    });
  }

  /**
   * What each server that runs says of itself, and what is said of those that do not. They hear of a move from each other, some
   * later than others: of two that claim a slot, the one with the newer configuration has it.
   */
  async #members(): Promise<Member[]> {
    const views = await Promise.all(this.#awake.map(membersAsSeenBy));
    const byId = new Map<string, Member>();
    for (const member of views.flat()) {
      const before = byId.get(member.id);
      if (before === undefined || isWordOn(member, before)) byId.set(member.id, member);
    }
    const members = settleClaims([...byId.values()]);
    for (const { port, slots } of members.filter(isMaster)) this.#slotOf.set(port, slots[0]![0]);
    return members;
  }

  #at(port: number): RedisServer {
    const server = this.servers.find((one) => one.port === port);
    if (server === undefined) throw new Error(`no server of this cluster has port ${port}`);
    return server;
  }

  async #agree(): Promise<boolean> {
    const views = await Promise.all(
      this.#awake.map(async (server) => {
        if ((await state(server)) !== 'ok') return `${server.port} is down`;
        if ((await server.info('replication', 'master_link_status')) === 'down')
          return `${server.port} does not follow`;
        return shapeOf(await membersAsSeenBy(server));
      }),
    );
    return new Set(views).size === 1;
  }
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function isMaster({ flags, slots }: Member): boolean {
  return flags.includes('master') && slots.length > 0;
}

function hasSlot({ slots }: Member, slot: number): boolean {
  return slots.some(([first, last]) => first <= slot && slot <= last);
}

/** Whether this word on a server counts for more than that one: its own does, else the newer. */
function isWordOn(word: Member, before: Member): boolean {
  if (isOwn(word) || isOwn(before)) return isOwn(word);
  return word.epoch > before.epoch;
}

function isOwn({ flags }: Member): boolean {
  return flags.includes('myself');
}

/** Each slot once, with the newest configuration that has it. */
function settleClaims(members: readonly Member[]): Member[] {
  const claimed = new Set<number>();
  return [...members]
    .sort((a, b) => b.epoch - a.epoch)
    .map((member) => {
      const slots = member.slots
        .flatMap(([first, last]) => range(first, last))
        .filter((s) => !claimed.has(s));
      for (const slot of slots) claimed.add(slot);
      return { ...member, slots: rangesOf(slots) };
    });
}

/** Of ascending numbers. */
function rangesOf(slots: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const slot of slots) {
    const current = ranges.at(-1);
    if (current !== undefined && current[1] === slot - 1) current[1] = slot;
    else ranges.push([slot, slot]);
  }
  return ranges;
}

/** Who has what, in words that are the same wherever all agree. */
function shapeOf(members: readonly Member[]): string {
  const lines = members.map(
    ({ port, masterId, flags, slots }) =>
      `${port} ${masterId ?? flags.filter((flag) => flag !== 'myself')} ${slots.map((range) => range.join('-')).join(' ')}`,
  );
  return lines.sort().join('\n');
}

async function moveKeys(slot: number, source: RedisServer, target: RedisServer): Promise<void> {
  for (;;) {
    const keys = (await source.client.cluster('GETKEYSINSLOT', slot, KEYS_AT_ONCE)) as string[];
    if (keys.length === 0) return;
    const to = ['127.0.0.1', target.port, '', 0, MIGRATE_TIMEOUT_MS];
    await source.client.call('MIGRATE', ...to, 'KEYS', ...keys);
  }
}

async function state(server: RedisServer): Promise<string | undefined> {
  const text = (await server.client.cluster('INFO')) as string;
  return /^cluster_state:(.*)$/m.exec(text)?.[1]?.trim();
}

async function membersAsSeenBy(server: RedisServer): Promise<Member[]> {
  const text = (await server.client.cluster('NODES')) as string;
  return text.trim().split('\n').map(readMember);
}

/** `<id> <ip:port@bus> <flags> <master> <ping> <pong> <epoch> <link> <slot> ...`; slots on the move are in brackets. */
function readMember(line: string): Member {
  const [id, address, flags, masterId, , , epoch, , ...slots] = line.split(' ') as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return {
    id,
    port: Number(/:(\d+)@/.exec(address)![1]),
    flags: flags.split(','),
    masterId: masterId === '-' ? null : masterId,
    epoch: Number(epoch),
    slots: (slots as string[])
      .filter((slot) => !slot.startsWith('['))
      .map((slot) => slot.split('-').map(Number))
      .map(([first, last]) => [first!, last ?? first!] as const),
  };
}
