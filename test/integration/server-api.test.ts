/** What the server API does to users and tells of rooms on all nodes at once. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'key-of-the-backend';
let redis: RedisServer;
let cluster: Cluster;
const clients: TestClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  cluster = await Cluster.start({
    redis: redis.url,
    env: {
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_API_KEYS: KEY,
      ROOMCAST_LIMITS_MEMBERS_PAGE: '3',
      ROOMCAST_ROOMS: JSON.stringify([{ match: 'unseen:*', presence: false }]),
    },
  });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await cluster.dispose();
  await redis.dispose();
});

/** A connection of this user to a node, in these rooms. */
async function connectAs(user: string, node: number, ...rooms: string[]): Promise<TestClient> {
  const client = await TestClient.connect(cluster.node(node).wsUrl, { token: await token({ sub: user }) });
  clients.push(client);
  await client.hello();
  for (const room of rooms) await client.ok('join', room);
  return client;
}

async function ask(node: number, path: string, method = 'GET', key = KEY) {
  const headers = { Authorization: `Bearer ${key}` };
  const answer = await fetch(`${cluster.node(node).url}${path}`, { method, headers });
  return { status: answer.status, body: await answer.json() };
}

function disconnect(user: string, key = KEY) {
  return ask(2, `/v1/users/${encodeURIComponent(user)}/disconnect`, 'POST', key);
}

describe('disconnecting a user', () => {
  it('closes its connections on every node with 4503 and without a bye, and no others', async () => {
    const user = 'ann/ü 1';
    const hers = [
      await connectAs(user, 0, 'room'),
      await connectAs(user, 0),
      await connectAs(user, 1, 'room'),
    ];
    const others = [await connectAs('bob', 0, 'room'), await connectAs('ann', 1, 'room')];
    expect(await disconnect(user)).toEqual({ status: 200, body: {} });
    for (const client of hers) {
      expect(await client.closed).toEqual({ code: 4503, reason: 'disconnected by the server' });
      expect(client.frames.map(([type]) => type)).not.toContain('bye');
    }
    for (const client of others) expect(await client.ok('ping')).toEqual({});
    expect(await cluster.metric(0, 'roomcast_connections_closed_total{code="4503"}')).toBe(2);
  });

  it('takes it out of its rooms', async () => {
    const bob = await connectAs('bob', 0, 'left');
    await connectAs('eve', 1, 'left');
    await disconnect('eve');
    await waitFor(async () => (await bob.ok<{ count: number }>('members', 'left')).count === 1);
  });

  it('of a user that is nowhere is fine', async () => {
    expect(await disconnect('nobody')).toEqual({ status: 200, body: {} });
  });

  it('takes an API key, a name that a token could have, and POST', async () => {
    expect((await disconnect('bob', 'wrong')).status).toBe(401);
    const tooLong = await disconnect('x'.repeat(200));
    expect(tooLong).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } });
    expect((await ask(0, '/v1/users/%ff/disconnect', 'POST')).status).toBe(400);
    expect((await ask(0, '/v1/users/bob/disconnect')).status).toBe(405);
  });

  it('goes on when what is no signal was sent to all nodes', async () => {
    const ann = await connectAs('ann', 0);
    const series = 'roomcast_backplane_malformed_envelopes_total';
    const before = await cluster.metric(0, series);
    const [channel] = await redis.client.pubsub('CHANNELS', '*:signals');
    for (const text of ['{', 'null', '{"type":"disconnect"}', '{"type":"other","user":"ann"}']) {
      await redis.client.publish(channel as string, text);
    }
    await waitFor(async () => (await cluster.metric(0, series)) === before + 4);
    expect(await ann.ok('ping')).toEqual({});
    await disconnect('ann');
    expect((await ann.closed).code).toBe(4503);
  });
});

describe('the list of rooms', () => {
  /** Of this test alone: connections of others may still be leaving. */
  async function untilRooms(node: number, count: number) {
    return waitFor(async () => {
      const { status, body } = await ask(node, '/v1/rooms');
      return status === 200 && body.rooms.length === count ? body : null;
    });
  }

  it('holds the rooms with presence of all nodes, by name, through any node', async () => {
    await untilRooms(0, 0);
    await connectAs('ann', 0, 'b', 'unseen:a');
    await connectAs('bob', 1, 'a', 'b');
    const rooms = [
      { room: 'a', count: 1 },
      { room: 'b', count: 2 },
    ];
    for (const node of [0, 1, 2]) {
      await untilRooms(node, 2);
      expect(await ask(node, '/v1/rooms')).toEqual({ status: 200, body: { rooms } });
    }
    expect((await ask(2, '/v1/rooms?limit=1')).body).toEqual({ rooms: rooms.slice(0, 1), truncated: true });
  });

  it('is never longer than a page', async () => {
    await untilRooms(0, 0);
    await connectAs('ann', 0, '1', '2', '3', '4', '5');
    for (const query of ['', '?limit=100']) {
      const { body } = await ask(0, `/v1/rooms${query}`);
      expect(body.rooms.map(({ room }: { room: string }) => room)).toEqual(['1', '2', '3']);
      expect(body.truncated).toBe(true);
    }
  });

  it('takes an API key and a limit that is one', async () => {
    expect((await ask(0, '/v1/rooms', 'GET', 'wrong')).status).toBe(401);
    for (const limit of ['0', '-1', 'x', '1.5']) {
      expect(await ask(0, `/v1/rooms?limit=${limit}`)).toMatchObject({
        status: 400,
        body: { error: { code: 'bad_request' } },
      });
    }
  });
});

it('both routes answer 503 while Redis is away', async () => {
  await redis.stop();
  await waitFor(async () => (await cluster.readiness(2)).status === 503, { timeoutMs: 10_000 });
  for (const answer of [await disconnect('ann'), await ask(2, '/v1/rooms')]) {
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  }
  await redis.restart();
  await waitFor(async () => (await cluster.readiness(2)).status === 200, { timeoutMs: 15_000 });
  expect((await disconnect('ann')).status).toBe(200);
});
