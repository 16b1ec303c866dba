/** Idempotency keys of several publishers, through two nodes of a cluster. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HistoryResult, PublishResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';

const API_KEY = 'a-key-of-the-tests';

let redis: RedisServer;
let nodes: [NodeProcess, NodeProcess];
const clients: TestClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  const env = {
    ROOMCAST_REDIS_URL: redis.url,
    ROOMCAST_AUTH_SECRET: SECRET,
    ROOMCAST_AUTH_ANONYMOUS: 'true',
    ROOMCAST_API_KEYS: API_KEY,
  };
  nodes = await Promise.all([NodeProcess.start({ env }), NodeProcess.start({ env })]);
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

async function connect(url: string, user: string | null): Promise<TestClient> {
  const client = await TestClient.connect(url, user === null ? {} : { token: await token({ sub: user }) });
  clients.push(client);
  return client;
}

async function publishFromBackend(room: string, data: unknown, key: string): Promise<PublishResult> {
  const answer = await fetch(`${nodes[1].url}/v1/publish`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ room, data, key }),
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as PublishResult;
}

async function stored(client: TestClient, room: string): Promise<unknown[]> {
  const { messages } = await client.ok<HistoryResult>('history', room);
  return messages.map((frame) => frame[5]);
}

it('a key that others have used does not keep a message from being stored', async () => {
  const [room, key] = ['orders', { key: 'order-17-paid' }];
  const eve = await connect(nodes[0].wsUrl, 'eve');
  const bob = await connect(nodes[1].wsUrl, 'bob');
  const nobody = await connect(nodes[0].wsUrl, null);
  const results = [
    await eve.ok<PublishResult>('publish', room, 'junk', key),
    await nobody.ok<PublishResult>('publish', room, 'more junk', key),
    await bob.ok<PublishResult>('publish', room, 'of bob', key),
    await publishFromBackend(room, 'of the backend', key.key),
  ];
  expect(results.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
    [1, undefined],
    [2, undefined],
    [3, undefined],
    [4, undefined],
  ]);
  expect(await stored(bob, room)).toEqual(['junk', 'more junk', 'of bob', 'of the backend']);
  // Their own are known, on any node and connection.
  const again = await connect(nodes[0].wsUrl, 'bob');
  expect(await again.ok('publish', room, 'of bob', key)).toMatchObject({ offset: 3, duplicate: true });
  expect(await publishFromBackend(room, 'x', key.key)).toMatchObject({ offset: 4, duplicate: true });
});

it('a key of 64 bytes works for a user id of 100', async () => {
  const client = await connect(nodes[0].wsUrl, 'u'.repeat(100));
  const options = { key: 'k'.repeat(64) };
  expect(await client.ok('publish', 'long', 1, options)).not.toHaveProperty('duplicate');
  expect(await client.ok('publish', 'long', 1, options)).toMatchObject({ offset: 1, duplicate: true });
});

describe('a reply that is lost', () => {
  it.each([
    ['an anonymous client', null],
    ['a user', 'ann'],
  ])('to %s costs nothing: a retry through another node is a duplicate', async (_, user) => {
    const room = `lost:${user}`;
    const proxy = await DeafeningProxy.start(Number(new URL(nodes[0].url).port));
    const listener = await connect(nodes[1].wsUrl, 'listener');
    await listener.ok('join', room);
    const client = await connect(`ws://127.0.0.1:${proxy.port}/ws`, user);
    await client.hello();
    const options = { key: '4c0a1b52-9f0e-4f5b-8a4e-6c1d5a0c9b11' };
    // What it says arrives, and nothing comes back.
    expect(proxy.deafen('GET /ws')).toBe(1);
    client.sendCommand(['publish', 1, room, 'once', options]);
    await listener.next((frame) => frame[0] === 'message' && frame[5] === 'once');
    proxy.dispose();
    await client.closed;
    expect(client.frames.some(([type]) => type === 'ok')).toBe(false);
    const back = await connect(nodes[1].wsUrl, user);
    const retried = await back.ok<PublishResult>('publish', room, 'once', options);
    expect(retried).toMatchObject({ offset: 1, duplicate: true });
    expect(await stored(back, room)).toEqual(['once']);
  });
});
