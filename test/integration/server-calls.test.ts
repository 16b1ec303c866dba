/**
 * Users who are removed from rooms, kept out of them and put into them, and histories that are deleted, by the
 * HTTP API of one node, on all nodes: also on one that was cut off from Redis, and after Redis lost everything.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorDetails, JoinResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { freePort } from '../support/ports.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'key-of-the-backend';
/** Longer than any test takes. */
const LONG_MS = 3_600_000;
let redis: RedisServer;
let proxy: DeafeningProxy;
let cluster: Cluster;
const clients: TestClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  proxy = await DeafeningProxy.start(redis.port);
  cluster = await Cluster.start({
    redis: [`redis://127.0.0.1:${proxy.port}`, redis.url, redis.url],
    env: {
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_API_KEYS: KEY,
      ROOMCAST_ROOMS: JSON.stringify([
        { match: 'closed', join: 'nobody' },
        { match: 'unkept', history: false },
      ]),
    },
  });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await cluster.dispose();
  proxy.dispose();
  await redis.dispose();
});

async function connectAs(user: string, node: number, ...rooms: string[]): Promise<TestClient> {
  const client = await TestClient.connect(cluster.node(node).wsUrl, { token: await token({ sub: user }) });
  clients.push(client);
  await client.hello();
  for (const room of rooms) await client.ok('join', room);
  return client;
}

async function ask(node: number, method: string, path: string, body?: unknown, key = KEY) {
  const answer = await fetch(`${cluster.node(node).url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: await answer.json() };
}

const OK = { status: 200, body: {} };
const remove = (node: number, room: string, body: unknown) =>
  ask(node, 'POST', `/v1/rooms/${room}/remove`, body);
const add = (node: number, room: string, body: unknown) => ask(node, 'POST', `/v1/rooms/${room}/add`, body);
const removed = (client: TestClient) => client.next(([type]) => type === 'removed');

async function refusal(client: TestClient, ...command: Parameters<TestClient['request']>) {
  const [type, , code, , details] = await client.request(...command);
  expect(type).toBe('error');
  return { code, details: details as ErrorDetails | undefined };
}

describe('a user who is removed from a room', () => {
  it('is told on every node, and may not return, publish or read on any of them', async () => {
    const [ann, other, bob] = [
      await connectAs('ann', 0, 'chat', 'elsewhere'),
      await connectAs('ann', 1, 'chat'),
      await connectAs('bob', 1, 'chat'),
    ];
    expect(await remove(2, 'chat', { user: 'ann', reason: 'spam', forMs: LONG_MS })).toEqual(OK);
    for (const client of [ann, other]) expect(await removed(client)).toEqual(['removed', 'chat', 'spam']);
    const late = await connectAs('ann', 2);
    for (const client of [ann, other, late]) {
      const answers = [
        await refusal(client, 'join', 'chat'),
        await refusal(client, 'publish', 'chat', 1),
        await refusal(client, 'history', 'chat'),
        await refusal(client, 'members', 'chat'),
        await refusal(client, 'ack', 'chat', ['', 0]),
      ];
      for (const { code, details } of answers) {
        expect(code).toBe('forbidden');
        expect(details!.retryAfterMs).toBeGreaterThan(LONG_MS - 60_000);
        expect(details!.retryAfterMs).toBeLessThanOrEqual(LONG_MS);
      }
    }
    await bob.ok('publish', 'chat', 'still here');
    await ann.ok('publish', 'elsewhere', 'here too');
    expect(await cluster.metric(1, 'roomcast_kept_out')).toBe(1);
    expect(await remove(0, 'chat', { user: 'ann', forMs: 0 })).toEqual(OK);
    await waitFor(async () => (await late.request('join', 'chat'))[0] === 'ok', { for: 'it to be over' });
  });

  it('may return at once where no time is given', async () => {
    const ann = await connectAs('ann', 0, 'short');
    expect(await remove(1, 'short', { user: 'ann' })).toEqual(OK);
    expect(await removed(ann)).toEqual(['removed', 'short', 'removed by the server']);
    await ann.ok('join', 'short');
  });

  it('is put back by add, on every node, and told where it stands', async () => {
    const [ann, other] = [await connectAs('ann', 0), await connectAs('ann', 1)];
    await remove(2, 'back', { user: 'ann', forMs: LONG_MS });
    const { epoch, offset } = (await ask(2, 'POST', '/v1/publish', { room: 'back', data: 'before' })).body;
    expect(await add(2, 'back', { user: 'ann' })).toEqual(OK);
    for (const client of [ann, other]) {
      const [, room, result] = await client.next(([type]) => type === 'joined');
      expect([room, result]).toEqual(['back', { epoch, offset, recovered: false }]);
    }
    await ask(2, 'POST', '/v1/publish', { room: 'back', data: 'after' });
    for (const client of [ann, other]) {
      await client.next(([type, room]) => type === 'message' && room === 'back');
      expect(client.messages('back').map(([, , , , , data]) => data)).toEqual(['after']);
    }
    expect(await refusal(ann, 'join', 'closed')).toMatchObject({ code: 'forbidden' });
  });
});

describe('a node that was cut off from Redis when a user was removed', { timeout: 60_000 }, () => {
  it('learns of it when it is back', async () => {
    const ann = await connectAs('ann', 0, 'cut');
    proxy.lead(await freePort());
    await waitFor(async () => (await cluster.readiness(0)).status === 503, { for: 'the node to notice' });
    expect(await remove(1, 'cut', { user: 'ann', reason: 'spam', forMs: LONG_MS })).toEqual(OK);
    expect((await ask(0, 'POST', '/v1/rooms/cut/remove', { user: 'ann', forMs: LONG_MS })).status).toBe(503);
    expect(ann.frames.some(([type]) => type === 'removed')).toBe(false);
    proxy.lead(redis.port);
    expect(await removed(ann)).toEqual(['removed', 'cut', 'removed by the server']);
    expect(await refusal(ann, 'join', 'cut')).toMatchObject({ code: 'forbidden' });
  });
});

describe('after Redis was restarted without its data', { timeout: 60_000 }, () => {
  it('users are still kept out, also by a node that starts then', async () => {
    const ann = await connectAs('ann', 0);
    await remove(1, 'restart', { user: 'ann', forMs: LONG_MS });
    await redis.kill();
    await redis.restart();
    await waitFor(async () => (await redis.client.keys('*denials')).length === 1, {
      for: 'the nodes to give back what was lost',
      timeoutMs: 20_000,
    });
    await waitFor(async () => (await cluster.readiness(0)).status === 200, { for: 'the node to be ready' });
    expect(await refusal(ann, 'join', 'restart')).toMatchObject({ code: 'forbidden' });
    await cluster.kill(2);
    await cluster.run(2);
    const again = await connectAs('ann', 2);
    expect(await refusal(again, 'join', 'restart')).toMatchObject({ code: 'forbidden' });
  });
});

describe('a history that is deleted', () => {
  it('is gone on every node, and members get reset', async () => {
    const [ann, bob] = [await connectAs('ann', 0, 'log'), await connectAs('bob', 1, 'log')];
    for (let n = 1; n <= 3; n++) await ann.ok('publish', 'log', n);
    await bob.next(([type, , offset]) => type === 'message' && offset === 3);
    const { status, body } = await ask(2, 'DELETE', '/v1/rooms/log/history');
    expect({ status, offset: body.offset }).toEqual({ status: 200, offset: 3 });
    for (const client of [ann, bob]) {
      // Redis lost the personal rooms too: their numbering may begin anew at any time from then on.
      const reset = await client.next(([type, room]) => type === 'reset' && room === 'log');
      expect(reset).toEqual(['reset', 'log', body.epoch, 3]);
    }
    const late = await connectAs('ann', 2);
    expect(await late.ok<JoinResult>('join', 'log', { last: 10 })).toMatchObject({ offset: 3, from: 3 });
    expect(await ann.ok('publish', 'log', 4)).toEqual({ epoch: body.epoch, offset: 4 });
    expect((await ask(1, 'GET', '/v1/rooms/log/history')).body.messages).toHaveLength(1);
  });

  it('of a room without one is refused, and of a room without messages begins nothing', async () => {
    expect(await ask(0, 'DELETE', '/v1/rooms/unkept/history')).toMatchObject({
      status: 400,
      body: { error: { code: 'bad_request' } },
    });
    expect(await ask(0, 'DELETE', '/v1/rooms/unused/history')).toEqual({
      status: 200,
      body: { epoch: '', offset: 0 },
    });
  });
});

describe('whether a user is online', () => {
  it('is known to every node', async () => {
    const user = 'cyd/ü 1';
    const path = `/v1/users/${encodeURIComponent(user)}`;
    expect((await ask(2, 'GET', path)).body).toEqual({ user, online: false, nodes: 0 });
    const [one] = [await connectAs(user, 0), await connectAs(user, 1), await connectAs(user, 1)];
    await waitFor(async () => (await ask(2, 'GET', path)).body.nodes === 2, { for: 'both nodes to be seen' });
    await one.close();
    await waitFor(async () => (await ask(2, 'GET', path)).body.nodes === 1, {
      for: 'one to be left',
      timeoutMs: 15_000,
    });
    expect((await ask(2, 'GET', path)).body).toEqual({ user, online: true, nodes: 1 });
  });
});

describe('what the routes refuse', () => {
  const bad = (says: string) => ({
    status: 400,
    body: { error: { code: 'bad_request', message: expect.stringContaining(says) } },
  });

  it.each([
    [{}, 'user is missing'],
    [{ user: 7 }, 'user must be a string'],
    [{ user: '' }, 'user is empty'],
    [{ user: 'a*b' }, 'user is invalid'],
    [[], 'not an object'],
    [{ user: 'ann', reason: 7 }, 'reason must be a string'],
    [{ user: 'ann', reason: 'ü'.repeat(101) }, 'at most 200 bytes, got 202'],
    [{ user: 'ann', forMs: -1 }, 'forMs must be a whole number'],
    [{ user: 'ann', forMs: 1.5 }, 'got 1.5'],
    [{ user: 'ann', forMs: '1000' }, 'forMs must be a whole number'],
    [{ user: 'ann', forMs: 30 * 86_400_000 + 1 }, '30 days'],
  ])('is said of %j', async (body, says) => {
    expect(await remove(1, 'chat', body)).toEqual(bad(says));
  });

  it('names rooms in which there is nothing to do', async () => {
    const room = encodeURIComponent('$user:ann');
    expect(await remove(1, room, { user: 'ann' })).toEqual(bad('reserved'));
    expect(await add(1, room, { user: 'ann' })).toEqual(bad('reserved'));
    expect((await add(1, 'a%2Ab', { user: 'ann' })).body.error.code).toBe('bad_room');
  });

  it('wants a key and the right method', async () => {
    expect((await ask(1, 'POST', '/v1/rooms/chat/remove', { user: 'ann' }, 'wrong')).status).toBe(401);
    expect((await ask(1, 'DELETE', '/v1/rooms/chat/history', undefined, 'wrong')).status).toBe(401);
    expect((await ask(1, 'GET', '/v1/users/ann', undefined, 'wrong')).status).toBe(401);
    const { status, headers } = await fetch(`${cluster.node(1).url}/v1/rooms/chat/history`, {
      method: 'PUT',
    });
    expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD, DELETE']);
  });

  it('takes MessagePack as well', async () => {
    // {user: "ann", forMs: 0}
    const body = Buffer.from('82a475736572a3616e6ea5666f724d7300', 'hex');
    const answer = await fetch(`${cluster.node(1).url}/v1/rooms/chat/remove`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/msgpack' },
      body,
    });
    expect(answer.status).toBe(200);
  });
});
