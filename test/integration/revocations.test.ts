/**
 * Users and tokens that the server API revokes, on all nodes and for every kind of client: also on a node that was cut off from
 * Redis, and after Redis was restarted, with its data and without.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/node.ts';
import { TestClient, type UpgradeRefused } from '../support/client.ts';
import { Cluster } from '../support/cluster.ts';
import { EventReader, type StreamRefused } from '../support/events.ts';
import { freePort } from '../support/ports.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'key-of-the-backend';
/** Longer than any test takes. */
const LONG_MS = 3_600_000;
/** Nodes read all revocations once a minute: what is faster was told to them. */
const TOLD_WITHIN_MS = 15_000;
let redis: RedisServer;
let proxy: DeafeningProxy;
let cluster: Cluster;
const open: { close(): unknown }[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  proxy = await DeafeningProxy.start(redis.port);
  cluster = await Cluster.start({
    redis: [`redis://127.0.0.1:${proxy.port}`, redis.url, redis.url],
    env: { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_API_KEYS: KEY },
  });
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

afterAll(async () => {
  await cluster.dispose();
  proxy.dispose();
  await redis.dispose();
});

async function ask(node: number, method: string, path: string, body?: unknown, key = KEY) {
  const answer = await fetch(`${cluster.node(node).url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: await answer.json() };
}

const revoke = async (node: number, body: unknown) => {
  expect(await ask(node, 'POST', '/v1/revocations', body)).toEqual({ status: 200, body: {} });
};

async function connect(text: string, node: number): Promise<TestClient> {
  const client = await TestClient.connect(cluster.node(node).wsUrl, { token: text });
  open.push(client);
  await client.hello();
  return client;
}

async function stream(text: string, node: number): Promise<EventReader> {
  const headers = { Authorization: `Bearer ${text}` };
  const reader = await EventReader.open(`${cluster.node(node).url}/v1/rooms/chat/events`, { headers });
  open.push(reader);
  return reader;
}

const publish = (text: string, node: number) =>
  ask(node, 'POST', '/v1/rooms/chat/messages', { data: 1 }, text);

/** What each way in answers to a token: the same on all nodes, or it is said of which. */
async function answers(text: string, node: number) {
  const upgrade = await TestClient.connect(cluster.node(node).wsUrl, { token: text }).then(
    (client) => client.close().then(() => 'open'),
    (error: UpgradeRefused) => error.status,
  );
  const events = await stream(text, node).then(
    () => 'open',
    ({ status, code }: StreamRefused) => `${status} ${code}`,
  );
  const { status, body } = await publish(text, node);
  const inBand = await TestClient.connect(cluster.node(node).wsUrl);
  const [type, , code] = await inBand.request('auth', text);
  const closed = type === 'ok' ? await inBand.close().then(() => 'open') : (await inBand.closed).code;
  const inUrl = await TestClient.connect(`${cluster.node(node).wsUrl}?token=${text}`);
  const first = await inUrl.next(([kind]) => kind === 'hello' || kind === 'error');
  await inUrl.close();
  return {
    upgrade,
    events,
    publish: status === 200 ? 'open' : `${status} ${body.error.code}`,
    inBand: type === 'ok' ? closed : `${code} ${closed}`,
    inUrl: first[0] === 'hello' ? 'open' : first[2],
  };
}

const REVOKED = {
  upgrade: 401,
  events: '401 token_revoked',
  publish: '401 token_revoked',
  inBand: 'token_revoked 4505',
  inUrl: 'token_revoked',
};
const OPEN = { upgrade: 'open', events: 'open', publish: 'open', inBand: 'open', inUrl: 'open' };

describe('a user who is revoked', () => {
  it('loses every connection on every node at once, and gets in nowhere until it is over', async () => {
    const text = await token({ sub: 'ann' });
    const clients = await Promise.all([0, 1, 2].map((node) => connect(text, node)));
    const readers = await Promise.all([0, 1, 2].map((node) => stream(text, node)));
    const bob = await connect(await token({ sub: 'bob' }), 1);
    const calledMs = performance.now();
    await revoke(2, { user: 'ann', forMs: LONG_MS });
    expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual(
      clients.map(() => ({ code: 4505, reason: 'token revoked' })),
    );
    await Promise.all(readers.map(({ ended }) => ended));
    const tookMs = performance.now() - calledMs;
    console.log(`revoked on three nodes after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(TOLD_WITHIN_MS);
    for (const client of clients)
      expect(client.frames.at(-1)).toEqual(['error', 0, 'token_revoked', expect.any(String)]);
    for (const reader of readers) expect(reader.frames.at(-1)).toEqual(['close', 4505, 'token revoked']);
    const fresh = await token({ sub: 'ann', jti: 'fresh' });
    for (const node of [0, 1, 2]) expect(await answers(fresh, node)).toEqual(REVOKED);
    expect((await bob.request('ping'))[0]).toBe('ok');
    expect(await cluster.metric(1, 'roomcast_revocations{kind="user"}')).toBe(1);
    expect(await cluster.metric(1, 'roomcast_token_checks_total{outcome="token_revoked"}')).toBe(5);
    const { body } = await ask(0, 'GET', '/v1/revocations?user=ann');
    expect(body).toEqual({ revocations: [{ user: 'ann', leftMs: expect.any(Number) }], count: 1 });
    expect(body.revocations[0].leftMs).toBeGreaterThan(LONG_MS - 60_000);
    expect((await ask(0, 'DELETE', '/v1/revocations?user=ann')).status).toBe(200);
    for (const node of [0, 1, 2]) {
      await waitFor(async () => (await publish(text, node)).status === 200, { for: 'it to be over' });
    }
    expect(await answers(text, 1)).toEqual(OPEN);
  });
});

describe('a token that is revoked', () => {
  it('ends what was opened with it and nothing else, and cannot be refreshed to', async () => {
    const [x, y] = [await token({ sub: 'cyd', jti: 'x' }), await token({ sub: 'cyd', jti: 'y' })];
    const [first, second, refreshed] = [await connect(x, 0), await connect(y, 0), await connect(x, 1)];
    expect((await refreshed.request('auth', y))[0]).toBe('ok');
    const reader = await stream(x, 2);
    await revoke(1, { jti: 'x', forMs: LONG_MS });
    expect((await first.closed).code).toBe(4505);
    await reader.ended;
    expect(await answers(x, 2)).toEqual(REVOKED);
    expect(await answers(y, 2)).toEqual(OPEN);
    for (const client of [second, refreshed]) expect((await client.request('ping'))[0]).toBe('ok');
    expect((await second.request('auth', x))[2]).toBe('token_revoked');
    expect((await second.closed).code).toBe(4505);
  });

  it('is replaced by the client library with another one, and ends it where there is none', async () => {
    const asked: string[] = [];
    const tokens = [await token({ sub: 'dan', jti: 'd1' }), await token({ sub: 'dan', jti: 'd2' })];
    const client = new RoomcastClient(cluster.urls, {
      getToken: ({ reason }) => {
        asked.push(reason);
        return tokens[Math.min(asked.length, tokens.length) - 1]!;
      },
    });
    open.push(client);
    client.connect();
    const isIn = () => client.status.state === 'connected';
    await waitFor(isIn, { for: 'it to connect' });
    await revoke(0, { jti: 'd1', forMs: LONG_MS });
    await waitFor(() => asked.length === 2 && isIn(), { for: 'it to come back' });
    await revoke(0, { jti: 'd2', forMs: LONG_MS });
    await waitFor(() => client.status.state === 'closed', { for: 'it to stop' });
    expect(client.status).toMatchObject({ code: 4505 });
    expect(asked).toEqual(['connect', 'revoked', 'revoked']);
  });
});

describe('nodes and Redis that fail', { timeout: 60_000 }, () => {
  const ready = (node: number) =>
    waitFor(async () => (await cluster.readiness(node)).status === 200, {
      for: 'the node to be ready',
      timeoutMs: 20_000,
    });

  it('a node that was cut off closes the connections when it is back, though Redis lost its data meanwhile', async () => {
    const [ofUser, ofToken] = [
      await connect(await token({ sub: 'eve' }), 0),
      await connect(await token({ sub: 'fay', jti: 'f' }), 0),
    ];
    proxy.lead(await freePort());
    await waitFor(async () => (await cluster.readiness(0)).status === 503, { for: 'the node to notice' });
    await revoke(1, { user: 'eve', forMs: LONG_MS });
    await revoke(2, { jti: 'f', forMs: LONG_MS });
    expect((await ask(0, 'POST', '/v1/revocations', { user: 'gil' })).status).toBe(503);
    await redis.kill();
    await redis.restart();
    proxy.lead(redis.port);
    expect((await ofUser.closed).code).toBe(4505);
    expect((await ofToken.closed).code).toBe(4505);
    await Promise.all([0, 1, 2].map(ready));
    await waitFor(async () => (await redis.client.keys('*denials')).length === 1, {
      for: 'the nodes to give back what was lost',
    });
    await cluster.kill(2);
    await cluster.run(2);
    expect(await answers(await token({ sub: 'eve' }), 2)).toEqual(REVOKED);
    expect(await answers(await token({ sub: 'fay', jti: 'f' }), 2)).toEqual(REVOKED);
    expect(await answers(await token({ sub: 'fay', jti: 'g' }), 2)).toEqual(OPEN);
  });
});

describe('a Redis that keeps its data', { timeout: 60_000 }, () => {
  it('has revocations, after it and every node were killed', async () => {
    const kept = await RedisServer.start({ appendonly: 'yes', appendfsync: 'always' });
    const env = { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_API_KEYS: KEY };
    const alone = await Cluster.start({ redis: [kept.url], nodes: 1, env });
    try {
      const post = (path: string, key: string, body: object) =>
        fetch(`${alone.node(0).url}${path}`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        });
      const send = async (text: string) => (await post('/v1/rooms/chat/messages', text, { data: 1 })).status;
      const at = Math.floor(Date.now() / 1000);
      const issued = (sub: string, iat: number) => token({ sub, iat });
      for (const body of [{ user: 'eve' }, { jti: 'f' }, { user: 'kim', issuedBefore: at * 1000 }]) {
        expect((await post('/v1/revocations', KEY, { ...body, forMs: LONG_MS })).status).toBe(200);
      }
      // No node is left that could give it back.
      await alone.kill(0);
      await kept.kill();
      await kept.restart();
      await alone.run(0);
      const statuses = [
        await send(await token({ sub: 'eve' })),
        await send(await token({ sub: 'fay', jti: 'f' })),
        await send(await issued('kim', at - 1)),
        await send(await issued('kim', at)),
        await send(await token({ sub: 'fay', jti: 'g' })),
      ];
      expect(statuses).toEqual([401, 401, 401, 200, 200]);
    } finally {
      await alone.dispose();
      await kept.dispose();
    }
  });
});

describe('what the routes refuse', () => {
  const bad = (says: string) => ({
    status: 400,
    body: { error: { code: 'bad_request', message: expect.stringContaining(says) } },
  });

  it.each([
    [{}, 'name a user or the jti of a token'],
    [{ user: 'ann', jti: 'x' }, 'not both'],
    [{ user: 7 }, 'user must be a string'],
    [{ user: 'a*b' }, 'user is invalid'],
    [{ jti: '' }, 'jti must be 1 to 256 bytes, got 0'],
    [{ jti: 'ü'.repeat(129) }, 'got 258'],
    [{ user: 'ann', forMs: 0 }, 'from 1 to 31622400000 (366 days), got 0'],
    [{ user: 'ann', forMs: '1000' }, 'forMs must be a whole number'],
  ])('is said of %j', async (body, says) => {
    expect(await ask(1, 'POST', '/v1/revocations', body)).toEqual(bad(says));
  });

  it('is said of a query, and of a wrong key', async () => {
    expect(await ask(1, 'DELETE', '/v1/revocations')).toEqual(bad('must name a user or the jti'));
    expect(await ask(1, 'DELETE', '/v1/revocations?jti=unknown')).toEqual({ status: 200, body: {} });
    expect(await ask(1, 'GET', '/v1/revocations?limit=0')).toEqual(bad('limit'));
    expect((await ask(1, 'GET', '/v1/revocations?limit=1')).body).toMatchObject({ truncated: true });
    for (const method of ['POST', 'GET', 'DELETE']) {
      expect(
        (await ask(1, method, '/v1/revocations?user=ann', method === 'POST' ? {} : undefined, 'no')).status,
      ).toBe(401);
    }
  });
});
