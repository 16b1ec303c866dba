import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MemberFrame, MembersResult, ServerFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { NodeProcess } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { waitFor } from '../support/wait.ts';

const LEASE_MS = 2000;
const DETAILED = 5;
let redis: RedisServer;
let nodes: NodeProcess[];

function startNode(): Promise<NodeProcess> {
  return NodeProcess.start({
    flags: ['--redis', redis.url],
    env: {
      ROOMCAST_PRESENCE_LEASE_MS: String(LEASE_MS),
      ROOMCAST_PRESENCE_DETAILED_MEMBERS: String(DETAILED),
      ROOMCAST_LIMITS_MEMBERS_PAGE: '10',
      ROOMCAST_ROOMS: JSON.stringify([
        { match: 'watched:*', memberEvents: true },
        { match: 'unseen:*', presence: false },
      ]),
    },
  });
}

beforeAll(async () => {
  redis = await RedisServer.start();
  nodes = await Promise.all([0, 1, 2].map(startNode));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await redis.dispose();
});

async function joined(node: NodeProcess, room: string): Promise<{ client: TestClient; id: string }> {
  const client = await TestClient.connect(node.wsUrl);
  const { connection } = await client.hello();
  await client.ok('join', room);
  return { client, id: connection };
}

function memberFrames(client: TestClient, room: string): MemberFrame[] {
  return client.frames.filter(
    (frame: ServerFrame): frame is MemberFrame => frame[0] === 'member' && frame[1] === room,
  );
}

function idsOf({ members }: MembersResult): string[] {
  return members.map(({ connection }) => connection).sort();
}

describe('presence', () => {
  it('shows who joined to the own node at once, and to the others within a second', async () => {
    const watchers = await Promise.all(nodes.map((node) => TestClient.connect(node.wsUrl)));
    for (let n = 0; n < 40; n++) {
      const room = `presence:soon-${n}`;
      const client = await TestClient.connect(nodes[0]!.wsUrl);
      await client.ok('join', room);
      expect(((await client.ok('members', room)) as MembersResult).count).toBe(1);
      for (const watcher of watchers) {
        const isSeen = async () => ((await watcher.ok('members', room)) as MembersResult).count === 1;
        await waitFor(isSeen, { for: 'the member to be seen', timeoutMs: 1_000, intervalMs: 1 });
      }
      const leaving = client.ok('leave', room);
      expect(((await client.ok('members', room)) as MembersResult).count).toBe(0);
      expect(await leaving).toEqual({});
      client.socket.terminate();
    }
    for (const watcher of watchers) watcher.socket.terminate();
  });

  it('knows who is in a room, asked through any node', async () => {
    const room = 'presence:who';
    const all = await Promise.all(nodes.map((node) => joined(node, room)));
    const ids = all.map(({ id }) => id).sort();
    for (const { client } of all) {
      const result = await waitFor(async () => {
        const now = await client.ok<MembersResult>('members', room);
        return now.count === 3 ? now : null;
      });
      expect(idsOf(result)).toEqual(ids);
      expect(result).toEqual({ count: 3, users: 0, members: expect.any(Array) });
    }
    const answer = await fetch(`${nodes[1]!.url}/v1/rooms/${encodeURIComponent(room)}/members`);
    expect(idsOf((await answer.json()) as MembersResult)).toEqual(ids);
    await all[0]!.client.ok('leave', room);
    await all[1]!.client.close();
    await waitFor(async () => idsOf(await all[2]!.client.ok<MembersResult>('members', room)).length === 1);
    await Promise.all(all.map(({ client }) => client.close()));
  });

  it('shows a connection to itself as soon as its join was answered', async () => {
    const room = 'presence:self';
    const { client, id } = await joined(nodes[0]!, room);
    expect(idsOf(await client.ok<MembersResult>('members', room))).toEqual([id]);
    await client.close();
  });

  it('tells members who joins and leaves where the rule asks for it, and only there', async () => {
    const first = await joined(nodes[0]!, 'watched:a');
    await first.client.ok('join', 'quiet:a');
    const second = await joined(nodes[1]!, 'watched:a');
    await second.client.ok('join', 'quiet:a');
    const arrival = await first.client.next(
      (frame) => frame[0] === 'member' && frame[2] === 'joined' && frame[3]?.connection === second.id,
    );
    expect(arrival).toEqual(['member', 'watched:a', 'joined', { connection: second.id, user: null }, 2]);
    await second.client.close();
    const departure = await first.client.next((frame) => frame[0] === 'member' && frame[2] === 'left');
    expect(departure).toEqual(['member', 'watched:a', 'left', { connection: second.id, user: null }, 1]);
    expect(memberFrames(first.client, 'quiet:a')).toEqual([]);
    await first.client.close();
  });

  it('says that it is not kept where it is not', async () => {
    const { client } = await joined(nodes[0]!, 'unseen:a');
    expect(await client.request('members', 'unseen:a')).toMatchObject([
      'error',
      expect.any(Number),
      'bad_request',
      {},
    ]);
    await client.close();
  });

  it('cuts a long list short and says so, but counts everyone', async () => {
    const room = 'presence:long';
    const all = await Promise.all(Array.from({ length: 15 }, (_, i) => joined(nodes[i % 3]!, room)));
    const result = await waitFor(async () => {
      const now = await all[0]!.client.ok<MembersResult>('members', room);
      return now.count === 15 ? now : null;
    });
    expect(result.members).toHaveLength(10);
    expect(result.truncated).toBe(true);
    await Promise.all(all.map(({ client }) => client.close()));
  });

  it('pushes counts in place of names in a large room', async () => {
    const room = 'watched:large';
    const watcher = await joined(nodes[0]!, room);
    const crowd = await Promise.all(Array.from({ length: 30 }, (_, i) => joined(nodes[i % 3]!, room)));
    await waitFor(() => memberFrames(watcher.client, room).at(-1)?.[4] === 31);
    const frames = memberFrames(watcher.client, room);
    const named = frames.filter(([, , , who]) => who !== null);
    expect(named.every(([, , , , count]) => count <= DETAILED)).toBe(true);
    expect(frames.length).toBeLessThan(20);
    expect(frames.at(-1)).toEqual(['member', room, 'joined', null, 31]);
    await Promise.all([watcher, ...crowd].map(({ client }) => client.close()));
  });

  it('removes the members of a killed node within seconds, each with exactly one left', async () => {
    const room = 'watched:killed';
    const doomed = await startNode();
    const watchers = [await joined(nodes[0]!, room), await joined(nodes[1]!, room)];
    const victims = [await joined(doomed, room), await joined(doomed, room), await joined(doomed, room)];
    await waitFor(async () => (await watchers[0]!.client.ok<MembersResult>('members', room)).count === 5);
    const killedAt = performance.now();
    await doomed.kill();
    await waitFor(async () => (await watchers[0]!.client.ok<MembersResult>('members', room)).count === 2, {
      timeoutMs: 10_000,
      intervalMs: 100,
    });
    console.log(
      `presence: gone ${Math.round(performance.now() - killedAt)} ms after kill -9, lease ${LEASE_MS} ms`,
    );
    const gone = victims.map(({ id }) => id).sort();
    for (const { client } of watchers) {
      await waitFor(() => memberFrames(client, room).filter(([, , change]) => change === 'left').length >= 3);
      const left = memberFrames(client, room).filter(([, , change]) => change === 'left');
      expect(left.map(([, , , who]) => who?.connection).sort()).toEqual(gone);
      expect(left.at(-1)![4]).toBe(2);
    }
    const listed = (await (await fetch(`${nodes[0]!.url}/v1/nodes`)).json()) as { nodes: { id: string }[] };
    expect(listed.nodes).toHaveLength(3);
    await Promise.all(watchers.map(({ client }) => client.close()));
  });
});
