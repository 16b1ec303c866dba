import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type {
  AckResult,
  CommandFrame,
  JoinResult,
  PublishResult,
  ServerFrame,
} from '../../src/protocol/frames.ts';
import { type ConnectOptions, TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const ROOMS = [
  { match: 'orders:*', acks: true },
  { match: 'short:*', acks: true, history: { messages: 5 } },
  { match: 'closed:*', acks: true, join: 'nobody' },
  { match: 'live:*', history: false },
];
const API_KEY = 'a-key-of-the-tests';

let redis: RedisServer;
let nodes: [NodeProcess, NodeProcess];
let open: NodeProcess;
const clients: TestClient[] = [];

function env(more: Record<string, string> = {}): Record<string, string> {
  return {
    ROOMCAST_AUTH_SECRET: SECRET,
    ROOMCAST_ROOMS: JSON.stringify(ROOMS),
    ROOMCAST_API_KEYS: API_KEY,
    ...more,
  };
}

function onRedis(server: RedisServer, more: Record<string, string> = {}): Promise<NodeProcess> {
  return NodeProcess.start({ env: env({ ROOMCAST_REDIS_URL: server.url, ...more }) });
}

beforeAll(async () => {
  redis = await RedisServer.start();
  const rooms = { ROOMCAST_ROOMS: JSON.stringify(ROOMS) };
  const [first, second, anonymous] = await Promise.all([
    onRedis(redis),
    onRedis(redis),
    NodeProcess.start({ env: rooms }),
  ]);
  nodes = [first, second];
  open = anonymous;
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await Promise.all([...nodes, open].map((node) => node.stop()));
  await redis.dispose();
});

/** A device of a user; `claims` beside `sub`. */
async function device(
  user: string,
  node: NodeProcess,
  options: ConnectOptions = {},
  claims: Record<string, unknown> = {},
): Promise<TestClient> {
  const client = await TestClient.connect(node.wsUrl, {
    ...options,
    token: await token({ sub: user, ...claims }),
  });
  clients.push(client);
  await client.hello();
  return client;
}

/** What a plain join of a further device is answered. */
async function phoneOf(user: string, room: string): Promise<JoinResult> {
  return (await device(user, nodes[0])).ok<JoinResult>('join', room);
}

async function publish(client: TestClient, room: string, count: number): Promise<PublishResult> {
  const sent = Array.from({ length: count }, (_, n) => client.ok<PublishResult>('publish', room, n));
  return (await Promise.all(sent)).at(-1)!;
}

function offsets(client: TestClient, room: string): number[] {
  return client.messages(room).map(([, , offset]) => offset);
}

/** What the client received of a room from the reply to a join on. */
function since(client: TestClient, joined: JoinResult, room: string): ServerFrame[] {
  const at = client.frames.findIndex(
    (frame) => frame[0] === 'ok' && 'recovered' in frame[2] && sameJoin(frame[2], joined),
  );
  expect(at).not.toBe(-1);
  expect(client.frames.slice(0, at).some(([type, of]) => type === 'message' && of === room)).toBe(false);
  return client.frames.slice(at + 1).filter((frame) => frame[1] === room);
}

function sameJoin(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

async function get(node: NodeProcess, path: string, key: string | null = API_KEY) {
  const answer = await fetch(node.url + path, {
    headers: key === null ? {} : { Authorization: `Bearer ${key}` },
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function metric(node: NodeProcess, series: string): Promise<number | undefined> {
  return readMetric(await (await fetch(`${node.url}/metrics`)).text(), series);
}

describe.each(['msgpack', 'json'] as const)('a user with two devices on two nodes (%s)', (encoding) => {
  it('goes on with one where the other stopped, in one round trip', async () => {
    const room = `orders:two:${encoding}`;
    const phone = await device('ann', nodes[0], { encoding });
    const joined = await phone.ok<JoinResult>('join', room);
    expect(joined).toEqual({ epoch: expect.any(String), offset: 0, recovered: false, acked: null });
    await publish(phone, room, 5);
    expect(await phone.ok<AckResult>('ack', room, [joined.epoch, 3])).toEqual({
      epoch: joined.epoch,
      offset: 3,
    });
    const laptop = await device('ann', nodes[1], { encoding });
    const resumed = await laptop.ok<JoinResult>('join', room, { resume: true });
    expect(resumed).toEqual({ epoch: joined.epoch, offset: 5, recovered: true, acked: 3 });
    await phone.ok('publish', room, 'live');
    await waitFor(() => offsets(laptop, room).length >= 3);
    expect(since(laptop, resumed, room).map((frame) => frame[2])).toEqual([4, 5, 6]);
    // The room is warm on both nodes by now.
    await laptop.ok('ack', room, [joined.epoch, 5]);
    const tablet = await device('ann', nodes[0], { encoding });
    const again = await tablet.ok<JoinResult>('join', room, { resume: true });
    expect(again).toMatchObject({ recovered: true, acked: 5 });
    await waitFor(() => offsets(tablet, room).length > 0);
    expect(since(tablet, again, room).map((frame) => frame[2])).toEqual([6]);
    // Without `resume` the position is only told.
    const told = await (await device('ann', nodes[1], { encoding })).ok<JoinResult>('join', room);
    expect(told).toEqual({ epoch: joined.epoch, offset: 6, recovered: false, acked: 5 });
  });
});

describe('acks', () => {
  it('only grow, whichever device they come from, and are each user’s own', async () => {
    const room = 'orders:grow';
    const [phone, laptop, other] = await Promise.all([
      device('ann', nodes[0]),
      device('ann', nodes[1]),
      device('bob', nodes[1]),
    ]);
    const { epoch } = await publish(other, room, 10);
    expect(await phone.ok('ack', room, [epoch, 6])).toEqual({ epoch, offset: 6 });
    expect(await laptop.ok('ack', room, [epoch, 2])).toEqual({ epoch, offset: 6 });
    expect(await laptop.ok('ack', room, [epoch, 9])).toEqual({ epoch, offset: 9 });
    expect(await phone.ok('ack', room, [epoch, 0])).toEqual({ epoch, offset: 9 });
    expect(await other.ok('ack', room, [epoch, 0])).toEqual({ epoch, offset: 0 });
  });

  it('without an id are kept and not answered', async () => {
    const room = 'orders:quiet';
    const phone = await device('ann', nodes[0]);
    const { epoch } = await publish(phone, room, 3);
    const before = phone.frames.length;
    phone.sendCommand(['ack', 0, room, [epoch, 3]]);
    await waitFor(async () => (await phone.ok<AckResult>('ack', room, [epoch, 0])).offset === 3);
    expect(phone.frames.slice(before).every((frame) => frame[1] !== 0)).toBe(true);
  });

  it('are refused with a reason', async () => {
    const phone = await device('ann', nodes[0]);
    const { epoch } = await publish(phone, 'orders:no', 2);
    const bound = await device('cat', nodes[0], {}, { rooms: [{ match: 'other:*', join: true }] });
    const refused: [client: TestClient, fields: unknown[], code: string][] = [
      [phone, ['orders:no', [epoch, 3]], 'bad_request'],
      [phone, ['plain', [epoch, 1]], 'bad_request'],
      [phone, ['live:a', ['', 0]], 'bad_request'],
      [phone, ['closed:a', [epoch, 1]], 'forbidden'],
      [phone, ['$user:bob', [epoch, 1]], 'forbidden'],
      [bound, ['orders:no', [epoch, 1]], 'forbidden'],
      [phone, ['orders:no'], 'bad_frame'],
      [phone, ['orders:*', [epoch, 1]], 'bad_room'],
    ];
    for (const [client, fields, code] of refused) {
      const reply = await client.request('ack', ...fields);
      expect(reply.slice(0, 3)).toEqual(['error', expect.any(Number), code]);
    }
    const both = await phone.request('join', 'orders:no', { since: [epoch, 0], resume: true });
    expect(both.slice(0, 3)).toEqual(['error', expect.any(Number), 'bad_request']);
    expect(await phone.ok('ack', 'orders:no', [epoch, 0])).toEqual({ epoch, offset: 0 });
  });

  it('of anonymous connections are refused, and their joins are as ever', async () => {
    const nobody = await TestClient.connect(open.wsUrl);
    clients.push(nobody);
    const { epoch } = await publish(nobody, 'orders:open', 2);
    const reply = await nobody.request('ack', 'orders:open', [epoch, 1]);
    expect(reply.slice(0, 3)).toEqual(['error', expect.any(Number), 'forbidden']);
    const joined = await nobody.ok('join', 'orders:open', { resume: true });
    expect(joined).toEqual({ epoch, offset: 2, recovered: false });
    expect(await metric(open, 'roomcast_ack_reads_total')).toBe(0);
  });

  it('cost joins in other rooms nothing', async () => {
    const keeper = await device('ann', nodes[0]);
    await keeper.ok('join', 'plain:warm');
    const reads = await metric(nodes[0], 'roomcast_ack_reads_total');
    const evaluated = await redis.calls('evalsha');
    const joins = Array.from({ length: 5 }, async (_, n) =>
      (await device('ann', nodes[0])).ok<JoinResult>('join', 'plain:warm', n === 0 ? { resume: true } : {}),
    );
    for (const joined of await Promise.all(joins)) expect(joined).not.toHaveProperty('acked');
    expect(await metric(nodes[0], 'roomcast_ack_reads_total')).toBe(reads);
    // Checks of quiet rooms, presence and personal rooms of the five connections use scripts too, and are few.
    expect((await redis.calls('evalsha')) - evaluated).toBeLessThan(40);
  });
});

describe('a join of a user', () => {
  it('that resumes where nothing is kept begins where the room stands', async () => {
    const room = 'orders:fresh';
    const phone = await device('dan', nodes[0]);
    const { epoch } = await publish(phone, room, 3);
    const joined = await phone.ok<JoinResult>('join', room, { resume: true });
    expect(joined).toEqual({ epoch, offset: 3, recovered: false, acked: 3 });
    await phone.ok('publish', room, 'next');
    await waitFor(() => offsets(phone, room).length > 0);
    expect(offsets(phone, room)).toEqual([4]);
  });

  it.each([
    ['an empty room', 0],
    ['a room with messages', 2],
  ])('that resumed in %s gets all that came while it was away', async (_, messages) => {
    const room = `orders:away:${messages}`;
    const shop = await device('shop', nodes[1]);
    if (messages > 0) await publish(shop, room, messages);
    const phone = await device('dan', nodes[0]);
    const joined = await phone.ok<JoinResult>('join', room, { resume: true });
    expect(joined).toMatchObject({ offset: messages, recovered: false, acked: messages });
    await phone.close();
    await publish(shop, room, 3);
    const laptop = await device('dan', nodes[1]);
    const resumed = await laptop.ok<JoinResult>('join', room, { resume: true });
    expect(resumed).toEqual({ epoch: joined.epoch, offset: messages + 3, recovered: true, acked: messages });
    await waitFor(() => offsets(laptop, room).length === 3);
    expect(offsets(laptop, room)).toEqual([1, 2, 3].map((n) => messages + n));
    // A join that only asks is told the start, and one of a user without any is told that.
    expect(await phoneOf('dan', room)).toMatchObject({ acked: messages });
    expect(await phoneOf('eve', room)).toMatchObject({ acked: null });
  });

  it('that resumes behind what history holds is told of the gap', async () => {
    const room = 'short:gap';
    const phone = await device('dan', nodes[0]);
    const { epoch } = await publish(phone, room, 1);
    await phone.ok('ack', room, [epoch, 1]);
    for (let n = 0; n < 20; n++) await publish(phone, room, 1);
    const laptop = await device('dan', nodes[1]);
    const joined = await laptop.ok<JoinResult>('join', room, { resume: true });
    expect(joined).toEqual({ epoch, offset: 21, recovered: false, acked: 1 });
    await waitFor(() => offsets(laptop, room).at(-1) === 21);
    const [gap] = since(laptop, joined, room);
    expect(gap?.slice(0, 3)).toEqual(['gap', room, 2]);
    const missing = gap?.[3] as number;
    expect(offsets(laptop, room)).toEqual(Array.from({ length: 21 - missing }, (_, i) => missing + 1 + i));
  });

  it.each(['cold', 'warm'])('in a %s room receives what it publishes in the same message', async (state) => {
    const room = `orders:same:${state}`;
    if (state === 'warm') await (await device('eve', nodes[0])).ok('join', room);
    for (let n = 1; n <= 5; n++) {
      // A user of its own: one that has a start here would be caught up first.
      const phone = await device(`ann ${n}`, nodes[0], { encoding: 'json' });
      const batch: CommandFrame[] = [
        ['join', 101, room, { resume: n % 2 === 0 }],
        ['publish', 102, room, `own ${n}`],
        ['publish', 103, room, `own ${n} too`],
      ];
      phone.send(batch.map((frame) => JSON.stringify(frame)).join('\n'));
      await waitFor(() => phone.messages(room).length === 2);
      expect(phone.messages(room).map(([, , , , , data]) => data)).toEqual([`own ${n}`, `own ${n} too`]);
      const types = phone.frames
        .filter((frame) => frame[1] === 101 || frame[1] === room)
        .map(([type]) => type);
      expect(types).toEqual(['ok', 'message', 'message']);
    }
  });

  it('that is left or made again before it is answered leaves one membership or none', async () => {
    const room = 'orders:hasty';
    const keeper = await device('eve', nodes[0]);
    await keeper.ok('join', room);
    const phone = await device('ann', nodes[0], { encoding: 'json' });
    const leaving: CommandFrame[] = [
      ['join', 201, room],
      ['leave', 202, room],
    ];
    phone.send(leaving.map((frame) => JSON.stringify(frame)).join('\n'));
    await phone.next((frame) => frame[0] === 'ok' && frame[1] === 202);
    // Behind the lookup of the join that was left: acks are answered in order.
    await phone.ok('ack', room, ['', 0]);
    await keeper.ok('publish', room, 'unheard');
    await keeper.next((frame) => frame[0] === 'message' && frame[5] === 'unheard');
    const rejoining: CommandFrame[] = [
      ['join', 203, room],
      ['join', 204, room],
      ['publish', 205, room, 'heard'],
    ];
    phone.send(rejoining.map((frame) => JSON.stringify(frame)).join('\n'));
    await phone.next((frame) => frame[0] === 'message' && frame[5] === 'heard');
    await keeper.ok('publish', room, 'last');
    await phone.next((frame) => frame[0] === 'message' && frame[5] === 'last');
    expect(phone.messages(room).map(([, , , , , data]) => data)).toEqual(['heard', 'last']);
  });
});

describe('a position ahead of what a node has heard', () => {
  it('is caught up with, and not taken for one of a numbering that is over', async () => {
    const proxy = await DeafeningProxy.start(redis.port);
    const late = await NodeProcess.start({
      env: env({ ROOMCAST_REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
    });
    const room = 'orders:late';
    await (await device('eve', late)).ok('join', room);
    const phone = await device('ann', nodes[0]);
    expect(proxy.deafen('-sub')).toBe(1);
    const { epoch } = await publish(phone, room, 3);
    await phone.ok('ack', room, [epoch, 2]);
    const laptop = await device('ann', late);
    expect(await laptop.ok('join', room, { resume: true })).toMatchObject({ recovered: true, acked: 2 });
    const tablet = await device('ann', late);
    expect(await tablet.ok('join', room, { since: [epoch, 3] })).toMatchObject({ recovered: true });
    await phone.ok('publish', room, 'live');
    for (const [client, expected] of [
      [laptop, [3, 4]],
      [tablet, [4]],
    ] as const) {
      await waitFor(() => offsets(client, room).at(-1) === 4, { timeoutMs: 20_000 });
      expect(offsets(client, room)).toEqual(expected);
      expect(client.frames.map(([type]) => type)).not.toContain('reset');
    }
    await late.stop();
    proxy.dispose();
  }, 40_000);
});

describe('GET /v1/rooms/:room/acks', () => {
  it('says who has read up to an offset, highest first', async () => {
    const room = 'orders:http';
    const path = `/v1/rooms/${encodeURIComponent(room)}/acks`;
    const reader = await device('ann', nodes[0]);
    const { epoch } = await publish(reader, room, 10);
    for (const [user, offset] of Object.entries({ ann: 4, bob: 10, cat: 7 })) {
      await (await device(user, nodes[0])).ok('ack', room, [epoch, offset]);
    }
    const [ann, bob, cat] = [
      { user: 'ann', offset: 4 },
      { user: 'bob', offset: 10 },
      { user: 'cat', offset: 7 },
    ];
    const answer = (count: number, users: unknown[], more = {}) => ({
      status: 200,
      body: { epoch, offset: 10, count, users, ...more },
    });
    expect(await get(nodes[1], path)).toEqual(answer(1, [bob]));
    expect(await get(nodes[1], `${path}?from=5`)).toEqual(answer(2, [bob, cat]));
    expect(await get(nodes[1], `${path}?from=0`)).toEqual(answer(3, [bob, cat, ann]));
    expect(await get(nodes[1], `${path}?from=0&limit=2`)).toEqual(answer(3, [bob, cat], { truncated: true }));
    expect(await get(nodes[1], `${path}?from=11`)).toEqual(answer(0, []));
    const label = 'roomcast_http_requests_total{route="/v1/rooms/:room/acks",status="2xx"}';
    expect(await metric(nodes[1], label)).toBe(5);
    expect(await metric(nodes[0], 'roomcast_acks_total{outcome="kept"}')).toBeGreaterThanOrEqual(3);
  });

  it('asks for the key, and refuses what makes no sense', async () => {
    expect((await get(nodes[0], '/v1/rooms/orders:a/acks', null)).status).toBe(401);
    expect((await get(nodes[0], '/v1/rooms/orders:a/acks', 'wrong')).status).toBe(401);
    for (const path of [
      'plain/acks',
      'live:a/acks',
      'orders:a/acks?from=-1',
      'orders:a/acks?from=x',
      'orders:a/acks?limit=0',
    ]) {
      expect(await get(nodes[0], `/v1/rooms/${path}`)).toMatchObject({
        status: 400,
        body: { error: { code: 'bad_request' } },
      });
    }
    expect(await get(nodes[0], '/v1/rooms/a*b/acks')).toMatchObject({
      body: { error: { code: 'bad_room' } },
    });
  });
});

describe('what is kept', () => {
  it('goes some time after the last ack in the room', async () => {
    const node = await NodeProcess.start({ env: env({ ROOMCAST_ACKS_TTL_MS: '1000' }) });
    const phone = await device('ann', node);
    const { epoch } = await publish(phone, 'orders:ttl', 2);
    expect(await phone.ok('ack', 'orders:ttl', [epoch, 2])).toEqual({ epoch, offset: 2 });
    const kept = async () => (await phone.ok<AckResult>('ack', 'orders:ttl', [epoch, 0])).offset;
    await waitFor(async () => (await kept()) === 0, { intervalMs: 50 });
    expect(await phone.ok('join', 'orders:ttl', { resume: true })).toEqual({
      epoch,
      offset: 2,
      recovered: false,
      acked: 2,
    });
    await node.stop();
  });

  it('ends with the epoch when Redis is flushed', async () => {
    const room = 'orders:flushed';
    const phone = await device('ann', nodes[0]);
    const joined = await phone.ok<JoinResult>('join', room);
    await publish(phone, room, 5);
    await phone.ok('ack', room, [joined.epoch, 5]);
    await redis.client.flushall();
    const after = await phone.ok<AckResult>('ack', room, [joined.epoch, 5]);
    expect(after).toEqual({ epoch: expect.any(String), offset: 0 });
    expect(after.epoch).not.toBe(joined.epoch);
    await phone.ok('publish', room, 'anew');
    await phone.next((frame) => frame[0] === 'reset' && frame[1] === room);
    const laptop = await device('ann', nodes[1]);
    const resumed = await laptop.ok<JoinResult>('join', room, { resume: true });
    expect(resumed).toEqual({ epoch: after.epoch, offset: 1, recovered: false, acked: 1 });
    expect(await laptop.ok('ack', room, [after.epoch, 1])).toEqual({ epoch: after.epoch, offset: 1 });
    expect(await get(nodes[0], `/v1/rooms/${room}/acks`)).toEqual({
      status: 200,
      body: { epoch: after.epoch, offset: 1, count: 1, users: [{ user: 'ann', offset: 1 }] },
    });
  });

  it('cannot be had while Redis is gone: joins and acks say so, and work when it is back', async () => {
    const own = await RedisServer.start();
    const node = await onRedis(own);
    const room = 'orders:outage';
    const keeper = await device('eve', node);
    await keeper.ok('join', room);
    await own.kill();
    const phone = await device('ann', node);
    const refusals = await Promise.all([
      phone.request('join', room, { resume: true }),
      phone.request('ack', room, ['abcdefgh', 1]),
    ]);
    for (const reply of refusals) expect(['unavailable', 'timeout']).toContain(reply[2]);
    expect((await phone.request('leave', room)).slice(2, 3)).toEqual(['not_joined']);
    await own.restart();
    await waitFor(async () => (await phone.request('join', room))[0] === 'ok', {
      timeoutMs: 15_000,
      intervalMs: 100,
    });
    await node.stop();
    await own.dispose();
  });
});
