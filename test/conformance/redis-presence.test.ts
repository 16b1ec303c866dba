/** Presence of several nodes on one Redis: nodes that die, freeze and come back, and a Redis that does. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type BackplaneMetrics, silentMetrics } from '../../src/backplane/metrics.ts';
import type { PresencePage } from '../../src/backplane/presence.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import type { RedisBackplane, RedisBackplaneOptions } from '../../src/backplane/redis/redis-backplane.ts';
import { randomId } from '../../src/util/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { startRedis } from '../support/backplanes.ts';
import { enterMany, entryOf, type PresentNode, startPresence } from '../support/presence.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { useRedis } from '../support/use-redis.ts';
import { waitFor, within } from '../support/wait.ts';

/** Short, and still several times what a busy machine may keep an event loop waiting. */
const LEASE_MS = 600;
/** A dead node is claimed at the latest this long after its death, and a bit. */
const SWEPT_MS = 10 * LEASE_MS;

type Node = PresentNode<RedisBackplane>;

const used = useRedis();
const { open, proxies, ownServer } = used;
let shared: RedisServer;
let prefix: string;

beforeAll(() => {
  shared = used.server;
});

/** Counts what one node did about dead ones. */
class Deeds {
  claims = 0;
  swept = 0;
  /** Of one round, which is one call where there is one room. */
  largestStep = 0;
  losses = 0;
  onSwept: () => void = () => undefined;

  readonly metrics: BackplaneMetrics = {
    ...silentMetrics,
    claimMade: () => {
      this.claims++;
    },
    entriesSwept: (count) => {
      this.swept += count;
      this.largestStep = Math.max(this.largestStep, count);
      this.onSwept();
    },
    leaseLost: () => {
      this.losses++;
    },
  };
}

interface StartOptions extends Partial<RedisBackplaneOptions> {
  readonly rooms?: readonly string[];
}

/** Nodes of one test share its prefix. */
function cluster(): (url?: string, options?: StartOptions) => Promise<Node> {
  prefix = `p${randomId(6)}`;
  return async (url = shared.url, { rooms = [], ...settings } = {}) => {
    const running = await startRedis(url, { keyPrefix: prefix, leaseMs: LEASE_MS, ...settings });
    open.push(running.backplane);
    await Promise.all(rooms.map((room) => running.backplane.subscribe(room)));
    return startPresence(running);
  };
}

/** Its links are dropped and it says nothing, as when its process is killed. */
async function kill({ backplane }: Node): Promise<void> {
  await backplane.close();
}

function connectionsFrom({ nodeId }: Node, first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, i) => `${nodeId}-${first + i}`).join();
}

/** Without the records of which promotion numbered a partition: those stay, one for each. */
async function keysLeft(): Promise<string[]> {
  const keys = await shared.client.keys(`${prefix}:*`);
  return keys.filter((key) => !/}:(lineage|beat:.*)$/.test(key)).sort();
}

function connectionsOf(lines: readonly string[], sign: string): string[] {
  return lines.filter((line) => line.startsWith(sign)).map((line) => line.slice(1).split(' ')[0]!);
}

describe('several nodes', () => {
  it('see one another, their members and their changes, in one order', async () => {
    const start = cluster();
    const [a, b] = [await start(undefined, { rooms: ['room'] }), await start(undefined, { rooms: ['room'] })];
    for (let n = 1; n <= 50; n++) {
      a.backplane.presence.enter('room', entryOf(a, n, 'ann'), true);
      b.backplane.presence.enter('room', entryOf(b, n, 'bob'), true);
    }
    const lines = await a.presence.untilChanges('room', 100);
    expect(await b.presence.untilChanges('room', 100)).toEqual(lines);
    expect(lines.map((line) => Number(line.split(' ')[1]))).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    expect(await a.backplane.presence.list('room', 0)).toMatchObject({ count: 100, users: 2 });
    expect([...(await a.backplane.presence.nodes())].sort()).toEqual([a.nodeId, b.nodeId].sort());
  });

  it('view a room when they have heard of every change that the page has', async () => {
    const start = cluster();
    const proxy = await DeafeningProxy.start(shared.port);
    proxies.push(proxy);
    const viewer = await start(`redis://127.0.0.1:${proxy.port}`, { rooms: ['room'] });
    const other = await start();
    const letPass = proxy.holdUp('subscribe');
    enterMany(other, 'room', 2);
    await other.backplane.presence.list('room', 10);
    other.backplane.presence.leave('room', entryOf(other, 1), true);
    await other.backplane.presence.list('room', 10);
    let page: PresencePage | null = null;
    const viewing = viewer.backplane.presence.view('room', 10).then((viewed) => {
      page = viewed;
    });
    // Asked for later on the same link: the page is there by now, and what it has overtaken is not.
    const { members } = await viewer.backplane.presence.list('room', 10);
    expect(members).toEqual([entryOf(other, 2, 'u2')]);
    expect(viewer.presence.lines('room')).toEqual([]);
    expect(page).toBeNull();
    letPass();
    await viewing;
    expect(page).toMatchObject({ count: 1, members });
    // Told before the page, and not after it: members would hear of one who came and left before their snapshot.
    const [first, second] = [`${other.nodeId}-1`, `${other.nodeId}-2`];
    expect(viewer.presence.lines('room')).toEqual([`+${first} 1`, `+${second} 2`, `-${first} 1`]);
  });

  it('list the rooms of all, a shared one once, and one that has no entries not at all', async () => {
    const start = cluster();
    const [a, b] = [await start(), await start()];
    enterMany(a, 'shared', 2);
    enterMany(b, 'shared', 1);
    enterMany(a, 'of a', 1);
    enterMany(b, 'of b', 1);
    // What a node leaves on its list when the answer to its last call is lost.
    await shared.client.hset(new Keys(prefix, 16).nodeRooms(a.nodeId), 'empty', '1:0');
    await Promise.all([a, b].map(({ backplane }) => backplane.presence.list('shared', 0)));
    const rooms = [
      { room: 'of a', count: 1 },
      { room: 'of b', count: 1 },
      { room: 'shared', count: 3 },
    ];
    await waitFor(async () => (await a.backplane.presence.rooms(10)).rooms.length === 3);
    expect(await b.backplane.presence.rooms(3)).toEqual({ rooms, truncated: false });
    expect(await a.backplane.presence.rooms(2)).toEqual({ rooms: rooms.slice(0, 2), truncated: true });
  });

  it('no longer list the rooms of one that died', async () => {
    const start = cluster();
    const [survivor, dead] = [await start(), await start()];
    enterMany(survivor, 'kept', 1);
    enterMany(dead, 'lost', 1);
    expect((await dead.backplane.presence.rooms(10)).rooms.map(({ room }) => room)).toContain('lost');
    await kill(dead);
    const listed = async () => (await survivor.backplane.presence.rooms(10)).rooms.map(({ room }) => room);
    await waitFor(async () => !(await listed()).includes('lost'), { timeoutMs: SWEPT_MS });
    expect(await listed()).toEqual(['kept']);
  });

  it('leave nothing behind when they close in good order', async () => {
    const start = cluster();
    const node = await start();
    enterMany(node, 'room', 20);
    expect(await node.backplane.presence.list('room', 0)).toMatchObject({ count: 20 });
    for (let n = 1; n <= 20; n++) node.backplane.presence.leave('room', entryOf(node, n), true);
    await node.backplane.presence.close();
    expect(await keysLeft()).toEqual([]);
  });

  it('take rooms that they have left off their lists', async () => {
    const start = cluster();
    const node = await start();
    enterMany(node, 'kept', 1);
    enterMany(node, 'left', 2);
    for (const n of [1, 2]) node.backplane.presence.leave('left', entryOf(node, n), true);
    await node.backplane.presence.list('left', 0);
    const rooms = () => shared.client.hkeys(new Keys(prefix, 16).nodeRooms(node.nodeId));
    await waitFor(async () => (await rooms()).join() === 'kept', { for: 'the room to be off the list' });
  });
});

describe('a node that dies', () => {
  it('is swept by one of the survivors, with one leave for each of its members', async () => {
    const start = cluster();
    const deeds = [new Deeds(), new Deeds(), new Deeds()];
    const survivors = await Promise.all(
      deeds.map(({ metrics }) => start(undefined, { rooms: ['room', 'quiet'], metrics })),
    );
    const dead = await start();
    enterMany(dead, 'room', 300);
    enterMany(dead, 'quiet', 30, false);
    enterMany(survivors[0]!, 'room', 5);
    for (const { presence } of survivors) await presence.untilChanges('room', 305);
    await dead.backplane.presence.list('quiet', 0);
    await kill(dead);
    const killedAtMs = performance.now();
    for (const survivor of survivors) {
      const lines = await survivor.presence.untilChanges('room', 605, SWEPT_MS);
      const left = connectionsOf(lines, '-');
      expect(left.every((connection) => connection.startsWith(`${dead.nodeId}-`))).toBe(true);
      expect(new Set(left).size).toBe(300);
    }
    console.log(
      `lease ${LEASE_MS} ms: all leaves arrived after ${Math.round(performance.now() - killedAtMs)} ms`,
    );
    const { presence } = survivors[1]!.backplane;
    await waitFor(async () => (await presence.list('quiet', 0)).count === 0, {
      for: 'the quiet room to be swept',
    });
    expect(await presence.list('room', 10)).toMatchObject({ count: 5, users: 5 });
    expect(survivors[1]!.presence.of('quiet')).toEqual([]);
    await waitFor(async () => !(await presence.nodes()).includes(dead.nodeId), {
      for: 'the lease to be gone',
    });
    expect(deeds.map(({ claims }) => claims).sort()).toEqual([0, 0, 1]);
    expect(deeds.reduce((sum, { swept }) => sum + swept, 0)).toBe(330);
    expect(survivors.map((survivor) => survivor.presence.of('room').length)).toEqual([605, 605, 605]);
  });

  it('is swept by another survivor where the first one dies while sweeping', async () => {
    const start = cluster();
    const rooms = Array.from({ length: 300 }, (_, r) => `room:${r}`);
    const listener = await start(undefined, { rooms, leaseMs: 60_000 });
    const dead = await start();
    for (const room of rooms) enterMany(dead, room, 2);
    for (const room of rooms) await listener.presence.untilChanges(room, 2);
    const first = new Deeds();
    const sweeper = await start(undefined, { metrics: first.metrics });
    first.onSwept = () => void sweeper.backplane.close();
    await kill(dead);
    await waitFor(() => first.swept > 0, { for: 'the first survivor to sweep', timeoutMs: SWEPT_MS });
    expect(first.swept).toBeLessThan(600);
    const second = new Deeds();
    await start(undefined, { metrics: second.metrics });
    for (const room of rooms) await listener.presence.untilChanges(room, 4, SWEPT_MS);
    const keys = new Keys(prefix, 16);
    await waitFor(async () => (await shared.client.exists(keys.nodeRooms(dead.nodeId))) === 0);
    // The dead sweeper had no entries, and is itself swept.
    await waitFor(async () => (await shared.client.hlen(keys.leases())) === 2, { timeoutMs: SWEPT_MS });
    expect(first.swept + second.swept).toBe(600);
    for (const room of rooms) expect(new Set(listener.presence.lines(room)).size).toBe(4);
  });

  it('is swept after all nodes were gone, when the next one starts', async () => {
    const start = cluster();
    const dead = await start();
    enterMany(dead, 'room', 3);
    await dead.backplane.presence.list('room', 0);
    await kill(dead);
    const next = await start();
    expect(await next.backplane.presence.list('room', 0)).toMatchObject({ count: 3 });
    await waitFor(async () => (await next.backplane.presence.list('room', 0)).count === 0, {
      timeoutMs: SWEPT_MS,
    });
  });

  it('leaves a large room that is swept in small steps, while others list it quickly', async () => {
    const server = await ownServer();
    const start = cluster();
    const deeds = new Deeds();
    const dead = await start(server.url);
    const survivor = await start(server.url, { metrics: deeds.metrics });
    enterMany(dead, 'room', 10_000);
    expect(await dead.backplane.presence.list('room', 0)).toMatchObject({ count: 10_000 });
    const startedMs = performance.now();
    const page = await survivor.backplane.presence.list('room', 100);
    const listMs = performance.now() - startedMs;
    expect(page).toMatchObject({ count: 10_000, users: 10_000, next: page.members.at(-1)!.connection });
    expect(page.members).toHaveLength(100);
    await server.client.config('SET', 'slowlog-log-slower-than', '200');
    await server.client.slowlog('RESET');
    await kill(dead);
    await waitFor(() => deeds.swept === 10_000, { for: 'the room to be swept', timeoutMs: SWEPT_MS });
    const slow = (await server.client.slowlog('GET', -1)) as [number, number, number][];
    const longestUs = Math.max(0, ...slow.map(([, , durationUs]) => durationUs));
    console.log(`list of 100 of 10,000: ${listMs.toFixed(1)} ms; longest call of the sweep: ${longestUs} us`);
    // Entries, not microseconds: what else the machine does makes any call take long now and then.
    expect(deeds.largestStep).toBeLessThan(1_000);
  });
});

describe('a node that was only frozen', () => {
  it('is told that its lease is lost, enters its members again, and nobody sweeps those', async () => {
    const start = cluster();
    const deeds = new Deeds();
    const proxy = await DeafeningProxy.start(shared.port);
    proxies.push(proxy);
    const other = await start(undefined, { rooms: ['room'], metrics: deeds.metrics });
    const frozen = await start(`redis://127.0.0.1:${proxy.port}`, {
      commandTimeoutMs: 20_000,
      probeIntervalMs: 60_000,
    });
    frozen.presence.onLost = () => enterMany(frozen, 'room', 3);
    enterMany(frozen, 'room', 4);
    await other.presence.untilChanges('room', 4);
    proxy.cut();
    // What it wants meanwhile must wait for a lease, or it could be missed by the sweep.
    await other.presence.untilChanges('room', 8, SWEPT_MS);
    frozen.backplane.presence.leave('room', entryOf(frozen, 4), true);
    proxy.heal();
    const lines = await other.presence.untilChanges('room', 11, SWEPT_MS);
    expect(connectionsOf(lines.slice(4, 8), '-')).toHaveLength(4);
    expect(connectionsOf(lines.slice(8), '+').sort()).toEqual([1, 2, 3].map((n) => `${frozen.nodeId}-${n}`));
    expect(frozen.presence.losses).toBe(1);
    expect(await other.backplane.presence.list('room', 0)).toMatchObject({ count: 3, users: 3 });
    // It lives again: several leases later it still has its members.
    const beats = () => shared.client.hget(new Keys(prefix, 16).leases(), frozen.nodeId);
    const beatsBefore = Number((await beats())!.split(':')[1]);
    await waitFor(async () => Number((await beats())!.split(':')[1]) > beatsBefore + 15, {
      timeoutMs: SWEPT_MS,
    });
    expect(await other.backplane.presence.list('room', 0)).toMatchObject({ count: 3 });
    expect(deeds.claims).toBe(1);
  });

  it('keeps what it entered under its new lease when a sweep of the old one goes on', async () => {
    const start = cluster();
    const node = await start();
    const keys = new Keys(prefix, 16);
    node.presence.onLost = () => enterMany(node, 'room', 2);
    enterMany(node, 'room', 2);
    await node.backplane.presence.list('room', 0);
    const record = await shared.client.hget(keys.leases(), node.nodeId);
    await shared.client.hset(keys.leases(), node.nodeId, `${record!.split(':')[0]}:1:600:somebody`);
    await waitFor(() => node.presence.losses === 1, { for: 'the lease to be lost' });
    expect(await node.backplane.presence.list('room', 0)).toMatchObject({ count: 2 });
    const lua = new URL('../../src/backplane/redis/scripts/sweep.lua', import.meta.url);
    const { readFile } = await import('node:fs/promises');
    const roomKeys = [
      ...[keys.presence('room'), keys.presenceUsers('room')],
      ...[keys.presenceOrder('room'), keys.channel('room')],
    ];
    const sweep = (term: number) =>
      readFile(lua, 'utf8').then((source) =>
        shared.client.eval(source, 4, ...roomKeys, `${node.nodeId}-`, term, '1', '0', 100),
      );
    expect(await sweep(1)).toEqual(['0', 0]);
    expect(await sweep(2)).toEqual(['0', 2]);
  });
});

describe('a Redis that', () => {
  it('forgets everything makes nodes enter their members again', async () => {
    const server = await ownServer();
    const start = cluster();
    const nodes = [await start(server.url), await start(server.url)];
    for (const node of nodes) node.presence.onLost = () => enterMany(node, 'room', 10);
    for (const node of nodes) enterMany(node, 'room', 10);
    await waitFor(async () => (await nodes[0]!.backplane.presence.list('room', 0)).count === 20);
    await server.client.flushall();
    await waitFor(() => nodes.every(({ presence }) => presence.losses === 1), {
      for: 'both to lose their leases',
    });
    await waitFor(async () => (await nodes[1]!.backplane.presence.list('room', 0)).count === 20);
    expect(await nodes[0]!.backplane.presence.list('room', 0)).toMatchObject({ count: 20, users: 10 });
    expect(nodes.map(({ presence }) => presence.losses)).toEqual([1, 1]);
  });

  it('forgets everything is given nothing by a node that has not found out', async () => {
    const server = await ownServer();
    const start = cluster();
    const node = await start(server.url);
    const { presence } = node.backplane;
    const keys = new Keys(prefix, 16);
    node.presence.onLost = () => enterMany(node, 'room', 2);
    enterMany(node, 'room', 1);
    await presence.list('room', 0);
    await server.client.flushall();
    presence.enter('room', entryOf(node, 2), true);
    await waitFor(async () => (await server.client.hlen(keys.presence('room'))) > 0);
    // Whoever sweeps the node finds the room on its list.
    expect(await server.client.hkeys(keys.nodeRooms(node.nodeId))).toEqual(['room']);
    expect(node.presence.losses).toBe(1);
    expect(await presence.list('room', 0)).toMatchObject({ count: 2 });
  });

  it('is away makes listing fail at once, and gets what was wanted meanwhile when it is back', async () => {
    const server = await ownServer({ appendonly: 'yes' });
    const start = cluster();
    const deeds = new Deeds();
    const node = await start(server.url, { rooms: ['room'], metrics: deeds.metrics });
    const other = await start(server.url);
    enterMany(node, 'room', 5);
    enterMany(other, 'room', 1);
    await node.presence.untilChanges('room', 6);
    await server.stop();
    await waitFor(() => !node.backplane.status().ready);
    const { presence } = node.backplane;
    node.presence.onLost = () => {
      for (const n of [2, 3, 4, 5, 7]) presence.enter('room', entryOf(node, n, `u${n}`), true);
    };
    other.presence.onLost = () => enterMany(other, 'room', 1);
    presence.leave('room', entryOf(node, 1, 'u1'), true);
    presence.enter('room', entryOf(node, 6, 'u6'), true);
    presence.enter('room', entryOf(node, 7, 'u7'), true);
    presence.leave('room', entryOf(node, 6, 'u6'), true);
    const refused = within(200, 'the refusal', presence.list('room', 10));
    await expect(refused).rejects.toMatchObject({ code: 'unavailable', stage: 'presence' });
    await expect(presence.nodes()).rejects.toMatchObject({ code: 'unavailable' });
    await server.restart();
    await waitFor(async () => (await presence.list('room', 10)).count === 6, {
      for: 'the members',
      timeoutMs: 10_000,
    });
    const page = await presence.list('room', 10);
    const own = page.members
      .map(({ connection }) => connection)
      .filter((connection) => connection.startsWith(node.nodeId));
    expect(own.sort()).toEqual([2, 3, 4, 5, 7].map((n) => `${node.nodeId}-${n}`));
    // Nobody could renew: that is no death, and after the outage nobody is swept for it.
    expect(deeds.claims).toBe(0);
  });

  it('starts again from an older disk gets back who came since, and loses who left since', async () => {
    const server = await ownServer();
    const start = cluster();
    const node = await start(server.url, { rooms: ['room'] });
    const { presence } = node.backplane;
    const stays = () => {
      for (const n of [2, 3, 4]) presence.enter('room', entryOf(node, n, `u${n}`), true);
    };
    for (const n of [1, 2]) presence.enter('room', entryOf(node, n, `u${n}`), true);
    await node.presence.untilChanges('room', 2);
    await server.client.save();
    presence.leave('room', entryOf(node, 1, 'u1'), true);
    stays();
    await node.presence.untilChanges('room', 5);
    node.presence.onLost = stays;
    await server.kill();
    await server.restart();
    // Its lease is on the disk, and unchanged but for its beat.
    await waitFor(() => node.presence.losses === 1, { for: 'the lease to be lost' });
    await waitFor(
      async () => {
        const page = await presence.list('room', 10).catch(() => null);
        return page?.members.map(({ connection }) => connection).join() === connectionsFrom(node, 2, 4);
      },
      { for: 'the members who stayed', timeoutMs: 10_000 },
    );
    expect(await presence.list('room', 10)).toMatchObject({ count: 3, users: 3, next: null });
  });

  it('freezes keeps what was sent and what was not, and applies it once', async () => {
    const server = await ownServer();
    const start = cluster();
    const node = await start(server.url, { rooms: ['room'], commandTimeoutMs: 300 });
    enterMany(node, 'room', 2);
    await node.presence.untilChanges('room', 2);
    server.freeze();
    const { presence } = node.backplane;
    presence.enter('room', entryOf(node, 3), true);
    presence.leave('room', entryOf(node, 1), true);
    await expect(presence.list('room', 10)).rejects.toMatchObject({ name: 'BackplaneError' });
    presence.enter('room', entryOf(node, 4), true);
    await waitFor(() => !node.backplane.status().ready);
    server.thaw();
    await waitFor(async () => (await presence.list('room', 10)).count === 3, { for: 'all of it' });
    const lines = await node.presence.untilChanges('room', 5);
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines).toHaveLength(5);
  });

  it('has a broken room drops that room’s changes and writes all others', async () => {
    const start = cluster();
    const node = await start();
    await shared.client.set(new Keys(prefix, 16).presence('bad'), 'not a hash');
    enterMany(node, 'bad', 2);
    enterMany(node, 'good', 2);
    expect(await node.backplane.presence.list('good', 10)).toMatchObject({ count: 2 });
    await expect(node.backplane.presence.list('bad', 10)).rejects.toMatchObject({ code: 'internal' });
  });

  it('is full takes those who leave and nobody who enters, and costs no node its lease', async () => {
    const server = await ownServer({ 'maxmemory-policy': 'noeviction' });
    const start = cluster();
    const deeds = new Deeds();
    const [a, b] = [await start(server.url, { metrics: deeds.metrics }), await start(server.url)];
    enterMany(a, 'old', 2);
    enterMany(a, 'other', 1);
    await a.backplane.presence.list('old', 10);
    await server.client.config('SET', 'maxmemory', '1');
    // Of one turn, and so of one call: what leaves first would let the others in.
    a.backplane.presence.leave('old', entryOf(a, 1, 'u1'), true);
    for (let n = 2; n < 50; n++) a.backplane.presence.enter('other', entryOf(a, n, `u${n}`), true);
    for (let n = 2; n < 50; n++) a.backplane.presence.enter('new', entryOf(a, n, `u${n}`), true);
    const count = async (room: string) => (await b.backplane.presence.list(room, 100)).count;
    await waitFor(async () => (await count('old')) === 1, { for: 'the one who left' });
    const renewed = Number(await server.calls('hgetall'));
    const rounds = async () => (await server.calls('hgetall')) - renewed;
    await waitFor(async () => (await rounds()) >= 20, { for: 'leases to be renewed', timeoutMs: SWEPT_MS });
    expect([await count('old'), await count('other'), await count('new')]).toEqual([1, 1, 0]);
    await server.client.config('SET', 'maxmemory', '0');
    await waitFor(async () => (await count('other')) === 49, { for: 'those who waited' });
    await waitFor(async () => (await count('new')) === 48, { for: 'those who waited in a new room' });
    expect([deeds.losses, deeds.claims]).toEqual([0, 0]);
  });

  it('lets a node publish to no channel enters and removes its members all the same', async () => {
    const start = cluster();
    await shared.client.call('ACL', 'SETUSER', prefix, 'on', '>secret', '~*', '&*', '+@all');
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_fields: object, message: string) => void warnings.push(message) };
    const node = await start(`redis://${prefix}:secret@127.0.0.1:${shared.port}`, { log });
    const watcher = await start(undefined, { rooms: ['room'] });
    await shared.client.call('ACL', 'SETUSER', prefix, 'resetchannels');
    enterMany(node, 'room', 2);
    const count = async () => (await watcher.backplane.presence.list('room', 9)).count;
    await waitFor(async () => (await count()) === 2, { for: 'both entries' });
    node.backplane.presence.leave('room', entryOf(node, 1, 'u1'), true);
    await waitFor(async () => (await count()) === 1, { for: 'one to leave' });
    expect(watcher.presence.lines('room')).toEqual([]);
    expect(warnings).toContain('presence changes of a room not announced');
    await shared.client.call('ACL', 'SETUSER', prefix, 'allchannels');
    node.backplane.presence.enter('room', entryOf(node, 3, 'u3'), true);
    expect(await watcher.presence.untilChanges('room', 1)).toEqual([`+${node.nodeId}-3 2`]);
  });

  it('carries an event that is none counts it and goes on', async () => {
    const start = cluster();
    let malformed = 0;
    const metrics = { ...silentMetrics, malformedEnvelope: () => malformed++ };
    const node = await start(undefined, { rooms: ['room'], metrics });
    const channel = new Keys(prefix, 16).channel('room');
    for (const bytes of [
      [2],
      [2, 0xc3],
      [2, 0xc3, 1, 0x91, 0xc0, 1],
      [2, 0xc1],
      [2, 0xdd, 255, 255, 255, 255],
    ]) {
      await shared.client.publish(channel, Buffer.from(bytes));
    }
    enterMany(node, 'room', 1);
    await node.presence.untilChanges('room', 1);
    expect(malformed).toBe(5);
  });
});
