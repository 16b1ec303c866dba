/** Joins with the newest messages, over real sockets, nodes and Redis. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JoinResult, PublishResult, ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const ROOMS = [
  { match: 'short:*', history: { messages: 8 } },
  { match: 'live:*', history: false },
];
const API_KEY = 'a-key-of-the-tests';
const JOINS = 1_000;

let redis: RedisServer;
let nodes: [NodeProcess, NodeProcess];
const clients: TestClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  const env = {
    ROOMCAST_AUTH_SECRET: SECRET,
    ROOMCAST_AUTH_ANONYMOUS: 'true',
    ROOMCAST_ROOMS: JSON.stringify(ROOMS),
    ROOMCAST_API_KEYS: API_KEY,
    ROOMCAST_REDIS_URL: redis.url,
  };
  nodes = (await Promise.all([NodeProcess.start({ env }), NodeProcess.start({ env })])) as typeof nodes;
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

async function client(node: NodeProcess, user: string | null = null): Promise<TestClient> {
  const options = user === null ? {} : { token: await token({ sub: user }) };
  const one = await TestClient.connect(node.wsUrl, options);
  clients.push(one);
  return one;
}

async function publish(from: TestClient, room: string, count: number): Promise<PublishResult> {
  let result: PublishResult | null = null;
  for (let n = 0; n < count; n++) result = await from.ok<PublishResult>('publish', room, n);
  return result!;
}

const offsets = (one: TestClient, room: string) => one.messages(room).map(([, , offset]) => offset);
const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + 1 + i);

function gaps(one: TestClient, room: string): ServerFrame[] {
  return one.frames.filter((frame) => frame[0] === 'gap' && frame[1] === room);
}

describe('a join with the newest messages', () => {
  it.each(['cold', 'warm'])('replays them on a %s node, then the live ones', async (state) => {
    const room = `chat:${state}`;
    const [publisher, reader] = [await client(nodes[0]), await client(nodes[1])];
    if (state === 'warm') await (await client(nodes[1])).ok('join', room);
    const { epoch } = await publish(publisher, room, 30);
    const joined = await reader.ok<JoinResult>('join', room, { last: 10 });
    await publish(publisher, room, 5);
    await waitFor(() => offsets(reader, room).at(-1) === 35);
    expect(joined.epoch).toBe(epoch);
    // The last of them may not have been delivered on the other node when the join came.
    expect(joined.offset - joined.from!).toBe(10);
    expect(offsets(reader, room)).toEqual(upTo(joined.from!, 35));
    expect(gaps(reader, room)).toEqual([]);
  });

  it('names what is gone and what is left out of what was missed, in order', async () => {
    const room = 'short:missed';
    const [publisher, reader] = [await client(nodes[0]), await client(nodes[1])];
    const { epoch } = await publish(publisher, room, 1);
    await publish(publisher, room, 29);
    const joined = await reader.ok<JoinResult>('join', room, { since: [epoch, 1], last: 3 });
    expect(joined).toEqual({ epoch, offset: 30, recovered: false, from: 27 });
    await waitFor(() => offsets(reader, room).length === 3);
    const [expired, limited, ...more] = gaps(reader, room);
    expect([expired?.[2], expired?.[4], limited?.[3], limited?.[4], more]).toEqual([
      2,
      'expired',
      27,
      'limited',
      [],
    ]);
    expect(limited?.[2]).toBe((expired?.[3] as number) + 1);
    expect(offsets(reader, room)).toEqual([28, 29, 30]);
  });

  it('replays nothing in a room without history', async () => {
    const [publisher, reader] = [await client(nodes[0]), await client(nodes[1])];
    await publish(publisher, 'live:score', 3);
    const joined = await reader.ok<JoinResult>('join', 'live:score', { last: 5 });
    expect(joined).toEqual({ epoch: '', offset: 0, recovered: false, from: 0 });
  });

  it('costs Redis no read in a warm room, however many come', async () => {
    const room = 'chat:thousand';
    const publisher = await client(nodes[0]);
    const keeper = await client(nodes[1]);
    await keeper.ok('join', room);
    await publish(publisher, room, 60);
    await waitFor(() => offsets(keeper, room).length === 60);
    const before = await reads();
    for (let done = 0; done < JOINS; done += 50) {
      const some = await Promise.all(Array.from({ length: 50 }, () => TestClient.connect(nodes[1].wsUrl)));
      const answers = await Promise.all(some.map((one) => one.ok<JoinResult>('join', room, { last: 50 })));
      for (const { offset, from } of answers) expect([offset, from]).toEqual([60, 10]);
      await waitFor(() => some.every((one) => offsets(one, room).length === 50));
      await Promise.all(some.map((one) => one.close()));
    }
    const after = await reads();
    expect(after.history).toBe(before.history);
    // Each node tries every few seconds whether it still may read: see `check.lua`.
    expect(after.entries - before.entries).toBeLessThan(JOINS / 20);
  });
});

/** Reads of entries in Redis, and reads of history that the node asked for. */
async function reads(): Promise<{ entries: number; history: number }> {
  const answer = await fetch(`${nodes[1].url}/metrics`);
  return {
    entries: (await redis.calls('xrange')) + (await redis.calls('xrevrange')),
    history: readMetric(await answer.text(), 'roomcast_history_reads_total') ?? 0,
  };
}

describe('a personal room', () => {
  it('brings a notification once per user, whichever device comes back first', async () => {
    const phone = await client(nodes[0], 'ann');
    const room = '$user:ann';
    await phone.ok('join', room, { resume: true });
    await phone.close();
    const api = (data: string) =>
      fetch(`${nodes[0].url}/v1/publish`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${API_KEY}` },
        body: JSON.stringify({ room, data }),
      });
    await api('while away');
    const laptop = await client(nodes[1], 'ann');
    const joined = await laptop.ok<JoinResult>('join', room, { resume: true });
    expect(joined).toMatchObject({ offset: 1, recovered: true, acked: 0 });
    await waitFor(() => offsets(laptop, room).length === 1);
    await laptop.ok('ack', room, [joined.epoch, 1]);
    const again = await client(nodes[0], 'ann');
    expect(await again.ok('join', room, { resume: true })).toMatchObject({ acked: 1, recovered: true });
    await api('live');
    await waitFor(() => offsets(again, room).length > 0);
    expect(offsets(again, room)).toEqual([2]);
  });
});
