/** Presence with state on three nodes and a real Redis: who may say what, and what is left when things break. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JoinResult, MembersResult, ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { MemberList } from '../support/member-list.ts';
import { NodeProcess } from '../support/node-process.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, secondsFromNow, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const API_KEY = 'a-key-of-the-tests';
const LEASE_MS = 2000;

let redis: RedisServer;
let nodes: NodeProcess[];
const clients: TestClient[] = [];

function startNode(): Promise<NodeProcess> {
  return NodeProcess.start({
    flags: ['--redis', redis.url],
    env: {
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_AUTH_ANONYMOUS: 'true',
      ROOMCAST_API_KEYS: API_KEY,
      ROOMCAST_PRESENCE_LEASE_MS: String(LEASE_MS),
      ROOMCAST_ROOMS: JSON.stringify([{ match: 'room:*', memberEvents: true }]),
    },
  });
}

beforeAll(async () => {
  redis = await RedisServer.start();
  nodes = await Promise.all([0, 1, 2].map(startNode));
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

async function connect(node: NodeProcess, jwt?: string): Promise<{ client: TestClient; id: string }> {
  const client = await TestClient.connect(node.wsUrl, jwt === undefined ? {} : { token: jwt });
  clients.push(client);
  const { connection } = await client.hello();
  return { client, id: connection };
}

/** Tries again while the node refuses it, as it does when it has just lost a link to Redis. */
function joinWithMembers(client: TestClient, room: string): Promise<{ joined: JoinResult; joinId: number }> {
  const tried = async () => {
    const reply = await client.request('join', room, { members: true });
    if (reply[0] === 'error') throw new Error(`${reply[2]}: ${reply[3]}`);
    return { joined: reply[2] as JoinResult, joinId: reply[1] };
  };
  return waitFor(tried, { for: 'a join' });
}

async function members(node: NodeProcess, room: string): Promise<MembersResult> {
  const answer = await fetch(`${node.url}/v1/rooms/${encodeURIComponent(room)}/members`, {
    headers: { authorization: `Bearer ${API_KEY}` },
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as MembersResult;
}

function pushesOf(client: TestClient, type: 'presence' | 'member' | 'members'): ServerFrame[] {
  return client.frames.filter((frame) => frame[0] === type);
}

describe('what a member says of itself', () => {
  it('reaches every node, beside what its token says, which it cannot change', async () => {
    const room = 'room:forged';
    const jwt = await token({ sub: 'eve', info: { role: 'guest' }, exp: secondsFromNow(60) });
    const forged = { info: { role: 'admin' }, user: 'root', connection: 'someone-1' };
    const watcher = await connect(nodes[1]!);
    await watcher.client.ok('join', room, { members: true });
    const eve = await connect(nodes[0]!, jwt);
    await eve.client.ok('join', room, { ...forged, data: forged });
    await eve.client.ok('presence', room, { ...forged, n: 2 });
    const who = { connection: eve.id, user: 'eve', info: { role: 'guest' }, data: { ...forged, n: 2 } };
    await waitFor(() => pushesOf(watcher.client, 'presence').length === 1);
    expect(pushesOf(watcher.client, 'presence')[0]).toEqual(['presence', room, who]);
    const joined = pushesOf(watcher.client, 'member').at(-1)!;
    expect(joined[3]).toEqual({ ...who, data: forged });
    for (const node of nodes) {
      await waitFor(async () => {
        expect((await members(node, room)).members).toContainEqual(who);
        return true;
      });
    }
  });

  it('stays when its token is replaced, and what the new one says is told', async () => {
    const room = 'room:token';
    const claims = { sub: 'ann', exp: secondsFromNow(60) };
    const watcher = await connect(nodes[1]!);
    await watcher.client.ok('join', room, { members: true });
    const ann = await connect(nodes[0]!, await token({ ...claims, info: { name: 'Ann' } }));
    await ann.client.ok('join', room, { data: { status: 'busy' } });
    await ann.client.ok('auth', await token({ ...claims, info: { name: 'Anna' } }));
    const who = { connection: ann.id, user: 'ann', info: { name: 'Anna' }, data: { status: 'busy' } };
    await waitFor(() => pushesOf(watcher.client, 'presence').length === 1);
    expect(pushesOf(watcher.client, 'presence')).toEqual([['presence', room, who]]);
    expect((await members(nodes[2]!, room)).members).toContainEqual(who);
  });

  it('is gone with a killed node', async () => {
    const room = 'room:killed';
    const doomed = await startNode();
    const watcher = await connect(nodes[0]!);
    await watcher.client.ok('join', room, { data: 'stays', members: true });
    const victims = await Promise.all([0, 1, 2].map(() => connect(doomed)));
    for (const [n, { client }] of victims.entries()) await client.ok('join', room, { data: { n } });
    await waitFor(async () => (await members(nodes[1]!, room)).count === 4);
    await doomed.kill();
    const isAlone = async (node: NodeProcess) => (await members(node, room)).count === 1;
    for (const node of nodes) await waitFor(() => isAlone(node), { timeoutMs: 20_000, intervalMs: 100 });
    const alone = [{ connection: watcher.id, user: null, data: 'stays' }];
    expect((await members(nodes[1]!, room)).members).toEqual(alone);
    await waitFor(() => MemberList.from(room, 1, watcher.client.frames).members.length === 1);
    expect(MemberList.from(room, 1, watcher.client.frames).members).toEqual(alone);
    expect(await redis.client.keys('*:pres*:room:killed')).toHaveLength(2);
  });

  it('is written again, as it is now, by a node that lost its lease', async () => {
    const room = 'room:lease';
    const [ann, watcher] = [await connect(nodes[0]!), await connect(nodes[1]!)];
    await watcher.client.ok('join', room, { members: true });
    await ann.client.ok('join', room, { data: 'first' });
    await ann.client.ok('presence', room, 'second');
    await ann.client.ok('presence', room, 'third');
    const nodeId = ann.id.split('-')[0]!;
    const leases = (await redis.client.keys('*:leases'))[0]!;
    // As a survivor does with a node that it takes for dead: it claims the lease, and removes its entries.
    const term = Number.parseInt((await redis.client.hget(leases, nodeId))!, 10);
    await redis.client.hset(leases, nodeId, `${term}:1:${LEASE_MS}:somebody`);
    for (const key of await redis.client.keys('*:pres*:room:lease')) await redis.client.del(key);
    const found = await waitFor(
      async () => (await members(nodes[2]!, room)).members.find(({ connection }) => connection === ann.id),
      { timeoutMs: 10_000 },
    );
    expect(found).toEqual({ connection: ann.id, user: null, data: 'third' });
  });

  it('is paged through over HTTP and WebSocket alike', async () => {
    const room = 'room:pages';
    const all = await Promise.all([...Array(9).keys()].map((n) => connect(nodes[n % 3]!)));
    for (const [n, { client }] of all.entries()) await client.ok('join', room, { data: n });
    await waitFor(async () => (await members(nodes[0]!, room)).count === 9);
    const seen: unknown[] = [];
    const overHttp: unknown[] = [];
    let after: string | undefined;
    do {
      const page = await all[0]!.client.ok<MembersResult>('members', room, {
        limit: 4,
        after: after ?? null,
      });
      const url = `${nodes[1]!.url}/v1/rooms/${encodeURIComponent(room)}/members?limit=4&after=${after ?? ''}`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${API_KEY}` } });
      expect(await answer.json()).toEqual(page);
      expect(page).toMatchObject({ count: 9, users: 0 });
      expect(page.truncated).toBe(page.next === undefined ? undefined : true);
      seen.push(...page.members);
      overHttp.push(page);
      after = page.next;
    } while (after !== undefined);
    expect(overHttp).toHaveLength(3);
    const expected = all.map(({ id }, data) => ({ connection: id, user: null, data }));
    expect(seen).toEqual(expected.sort((a, b) => (a.connection < b.connection ? -1 : 1)));
    const bad = await fetch(`${nodes[1]!.url}/v1/rooms/a/members?after=${'x'.repeat(129)}`, {
      headers: { authorization: `Bearer ${API_KEY}` },
    });
    expect(bad.status).toBe(400);
  });
});

describe('a list that a join brought', () => {
  it.each([
    ['while members come, go and change on all nodes', false],
    ['also when the links that changes come over are cut', true],
  ])('is right with the events after it, %s', async (_when, cuts) => {
    const seed = chaosSeed();
    const random = new Random(seed);
    const room = `room:churn-${cuts}`;
    const actors = await Promise.all([...Array(30).keys()].map((n) => connect(nodes[n % 3]!)));
    const isIn = new Set<TestClient>();
    const watchers: { readonly client: TestClient; readonly joinId: number }[] = [];
    let step = 0;
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 10; i++) {
        const { client } = random.pick(actors);
        if (!isIn.has(client)) {
          client.sendCommand(['join', 0, room, random.next() < 0.5 ? { data: ++step } : {}]);
          isIn.add(client);
        } else if (random.next() < 0.3) {
          client.sendCommand(['leave', 0, room]);
          isIn.delete(client);
        } else client.sendCommand(['presence', 0, room, ++step]);
      }
      if (round % 2 === 0) {
        const { client } = await connect(nodes[(round / 2) % 3]!);
        const { joined, joinId } = await joinWithMembers(client, room);
        expect(joined.members?.members.length).toBe(joined.members?.count);
        if (!cuts) expect(joinId).toBe(1);
        watchers.push({ client, joinId });
      }
      if (cuts && round % 20 === 10) await redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    const truth = async () => {
      const list = await members(nodes[0]!, room);
      return list.members.map(({ connection, data }) => [connection, data]);
    };
    for (const { client, joinId } of watchers) {
      await waitFor(
        async () => {
          const known = MemberList.from(room, joinId, client.frames);
          expect(known.members.map(({ connection, data }) => [connection, data])).toEqual(await truth());
          return true;
        },
        { timeoutMs: 15_000, for: `the list of a watcher, seed ${seed}` },
      );
      if (!cuts) expect(MemberList.from(room, joinId, client.frames).replaced).toBe(0);
    }
  });
});
