import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JoinResult, MessageFrame, PublishResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

let redis: RedisServer;
let nodes: NodeProcess[];

beforeAll(async () => {
  redis = await RedisServer.start();
  nodes = await Promise.all([0, 1, 2].map(() => NodeProcess.start({ flags: ['--redis', redis.url] })));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

/** A member on each node, in both encodings. */
async function members(room: string): Promise<TestClient[]> {
  const clients = await Promise.all(
    nodes.flatMap((node) => [
      TestClient.connect(node.wsUrl),
      TestClient.connect(node.wsUrl, { encoding: 'json' }),
    ]),
  );
  await Promise.all(clients.map((client) => client.ok<JoinResult>('join', room)));
  return clients;
}

function positions(messages: readonly MessageFrame[]): number[] {
  return messages.map(([, , offset]) => offset);
}

describe('three nodes on one Redis', () => {
  it('show every member the same sequence, with offsets that rise by exactly 1', async () => {
    const room = 'cluster:order';
    const total = 1500;
    const everyone = await members(room);
    const publishers = await Promise.all(
      Array.from({ length: 15 }, (_, i) => TestClient.connect(nodes[i % 3]!.wsUrl)),
    );
    const results = await Promise.all(
      publishers.flatMap((publisher, p) =>
        Array.from({ length: total / 15 }, (_, n) =>
          publisher.ok<PublishResult>('publish', room, { p, n, text: `message ${n} of publisher ${p}` }),
        ),
      ),
    );
    for (const member of everyone) {
      await waitFor(() => member.messages(room).length >= total, { timeoutMs: 20_000 });
    }
    const acknowledged = results.map(({ offset }) => offset).sort((a, b) => a - b);
    expect(acknowledged).toEqual(Array.from({ length: total }, (_, i) => i + 1));
    const reference = everyone[0]!.messages(room);
    expect(positions(reference)).toEqual(acknowledged);
    for (const member of everyone) expect(member.messages(room)).toEqual(reference);
    // Of one publisher, the order is that in which it sent.
    for (let p = 0; p < 15; p++) {
      const sent = reference.map(([, , , , , data]) => data as { p: number; n: number });
      expect(sent.filter((data) => data.p === p).map(({ n }) => n)).toEqual(
        Array.from({ length: total / 15 }, (_, i) => i),
      );
    }
    await Promise.all([...everyone, ...publishers].map((client) => client.close()));
  });

  it('leave out the publisher that asked for no echo, and nobody else', async () => {
    const room = 'cluster:typing';
    const everyone = await members(room);
    const [first, second] = everyone as [TestClient, TestClient, ...TestClient[]];
    await first.ok('publish', room, 'typing', { echo: false });
    await second.ok('publish', room, 'typing too', { echo: false });
    await first.ok('publish', room, 'said');
    for (const member of everyone) {
      await waitFor(() => member.messages(room).some(([, , , , , data]) => data === 'said'));
    }
    const heard = everyone.map((member) => member.messages(room).map(([, , , , , data]) => data));
    expect(heard[0]).toEqual(['typing too', 'said']);
    expect(heard[1]).toEqual(['typing', 'said']);
    for (const others of heard.slice(2)) expect(others).toEqual(['typing', 'typing too', 'said']);
    await Promise.all(everyone.map((client) => client.close()));
  });

  it('store a message with an idempotency key once, whichever nodes it is published through', async () => {
    const room = 'cluster:keys';
    const [a, b] = await Promise.all([
      TestClient.connect(nodes[0]!.wsUrl),
      TestClient.connect(nodes[1]!.wsUrl),
    ]);
    const first = await a.ok<PublishResult>('publish', room, 'once', { key: 'k1' });
    const second = await b.ok<PublishResult>('publish', room, 'once', { key: 'k1' });
    expect(first.duplicate).toBeUndefined();
    expect(second).toEqual({ ...first, duplicate: true });
    const { messages } = await b.ok<{ messages: MessageFrame[] }>('history', room);
    expect(messages).toHaveLength(1);
    await Promise.all([a.close(), b.close()]);
  });

  it('deliver what the HTTP API publishes, without a sender', async () => {
    const room = 'cluster:http';
    const everyone = await members(room);
    const answer = await fetch(`${nodes[2]!.url}/v1/publish`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ room, data: { from: 'http' } }),
    });
    expect(answer.status).toBe(200);
    for (const member of everyone) {
      const frame = await member.next(([type]) => type === 'message');
      expect(frame.slice(4)).toEqual([null, { from: 'http' }]);
    }
    await Promise.all(everyone.map((client) => client.close()));
  });

  it('subscribe to a room only while it has members there', async () => {
    const room = 'cluster:interest';
    const channels = async () =>
      Number(((await redis.client.call('PUBSUB', 'NUMSUB', channel)) as unknown[])[1]);
    const member = await TestClient.connect(nodes[0]!.wsUrl);
    await member.ok('join', room);
    const known = (await redis.client.call('PUBSUB', 'CHANNELS', `*${room}`)) as string[];
    expect(known).toHaveLength(1);
    const channel = known[0]!;
    expect(await channels()).toBe(1);
    const other = await TestClient.connect(nodes[1]!.wsUrl);
    await other.ok('join', room);
    expect(await channels()).toBe(2);
    await other.close();
    await waitFor(async () => (await channels()) === 1, { timeoutMs: 15_000, intervalMs: 100 });
    await member.close();
    await waitFor(async () => (await channels()) === 0, { timeoutMs: 15_000, intervalMs: 100 });
  });
});
