/** Rooms that nobody ever published in: who asks for them leaves nothing behind, and has missed nothing in them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JoinResult } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';

const ENV = {
  ROOMCAST_ROOMS: JSON.stringify([{ match: 'acked:*', acks: true }]),
  ROOMCAST_LIMITS_ROOMS_PER_CONNECTION: '1000',
};
/** The life of an unused numbering, and a tenth. */
const MINUTES_MS = 330_000;

let redis: RedisServer;
let nodes: { readonly redis: NodeProcess; readonly memory: NodeProcess };

beforeAll(async () => {
  redis = await RedisServer.start();
  nodes = {
    redis: await NodeProcess.start({ flags: ['--redis', redis.url], env: ENV }),
    memory: await NodeProcess.start({ env: ENV }),
  };
});

afterAll(async () => {
  await Promise.all([nodes.redis.stop(), nodes.memory.stop()]);
  await redis.dispose();
});

function keysOf(room: string): Promise<string[]> {
  return redis.client.keys(`*${room}*`);
}

async function get(node: NodeProcess, path: string): Promise<unknown> {
  return (await fetch(`${node.url}/v1/rooms/${path}`)).json();
}

describe.each(['redis', 'memory'] as const)('with the %s backplane', (kind) => {
  it('history, members and acks of invented rooms are empty, without an epoch', async () => {
    const node = nodes[kind];
    const clients = [
      await TestClient.connect(node.wsUrl),
      await TestClient.connect(node.wsUrl, { encoding: 'json' }),
    ];
    const rooms = Array.from({ length: 100 }, (_, i) => `acked:never-${i}`);
    for (const client of clients) {
      for (const options of [undefined, { since: ['', 0] }, { since: ['abcdefgh', 7], limit: 5 }]) {
        const asked = rooms.map((room) => client.ok('history', room, ...(options ? [options] : [])));
        expect(new Set((await Promise.all(asked)).map((result) => JSON.stringify(result)))).toEqual(
          new Set([JSON.stringify({ epoch: '', offset: 0, messages: [] })]),
        );
      }
      const members = await Promise.all(rooms.map((room) => client.ok('members', room)));
      expect(members[0]).toEqual({ count: 0, users: 0, members: [] });
      client.socket.terminate();
    }
    expect(await get(node, 'acked%3Anever-0/history')).toEqual({ epoch: '', offset: 0, messages: [] });
    expect(await get(node, 'acked%3Anever-0/members')).toEqual({ count: 0, users: 0, members: [] });
    expect(await get(node, 'acked%3Anever-0/acks')).toEqual({ epoch: '', offset: 0, count: 0, users: [] });
    expect(await keysOf('never')).toEqual([]);
  });

  it('a position with offset 0 is followed by all there is, whatever its epoch, and never by reset', async () => {
    const node = nodes[kind];
    const publisher = await TestClient.connect(node.wsUrl);
    const { epoch } = (await publisher.ok('join', 'filled')) as JoinResult;
    for (const n of [1, 2, 3]) await publisher.ok('publish', 'filled', n);
    for (const room of ['filled', 'empty']) {
      let offset = room === 'filled' ? 3 : 0;
      for (const other of [epoch, 'abcdefgh', '']) {
        const client = await TestClient.connect(node.wsUrl);
        const joined = (await client.ok('join', room, { since: [other, 0] })) as JoinResult;
        expect(joined).toMatchObject({ offset, recovered: true });
        expect(joined.epoch).toMatch(/^[0-9a-z]{8}$/);
        await publisher.ok('publish', room, 'last');
        offset++;
        await client.next((frame) => frame[0] === 'message' && frame[2] === offset);
        expect(client.messages(room).map((message) => message[2])).toEqual(
          Array.from({ length: offset }, (_, i) => i + 1),
        );
        for (const type of ['reset', 'gap']) expect(client.frames.map(([name]) => name)).not.toContain(type);
        client.socket.terminate();
      }
    }
    publisher.socket.terminate();
  });
});

it('what a join alone began lives for minutes, and a message makes it last', async () => {
  const client = await TestClient.connect(nodes.redis.wsUrl);
  const rooms = Array.from({ length: 50 }, (_, i) => `visited-${i}`);
  const joins = await Promise.all(rooms.map((room) => client.ok('join', room)));
  await Promise.all(rooms.map((room) => client.ok('leave', room)));
  const metas = (await keysOf('visited')).filter((key) => key.includes(':meta:'));
  expect(metas).toHaveLength(50);
  const lives = await Promise.all(metas.map((key) => redis.client.pttl(key)));
  for (const life of lives) expect(life).toBeLessThanOrEqual(MINUTES_MS);
  for (const life of lives) expect(life).toBeGreaterThan(MINUTES_MS - 60_000);
  const { epoch } = joins[0] as JoinResult;
  expect(await client.ok('publish', rooms[0]!, 'x')).toEqual({ epoch, offset: 1 });
  const [meta] = (await keysOf('visited-0')).filter((key) => key.includes(':meta:'));
  expect(await redis.client.pttl(meta!)).toBeGreaterThan(20 * 3_600_000);
  client.socket.terminate();
});
