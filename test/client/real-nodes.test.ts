/** The client against nodes that are processes, on one Redis, over real WebSockets. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json-node.ts';
import { RoomcastClient } from '../../src/client/node.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { TokenReason } from '../../src/client/tokens.ts';
import { Cluster } from '../support/cluster.ts';
import { NodeProcess } from '../support/node-process.ts';
import { DeafeningProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { SECRET, secondsFromNow, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

let redis: RedisServer;
let cluster: Cluster;
let guarded: NodeProcess;
const clients: BaseClient[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  [cluster, guarded] = await Promise.all([
    Cluster.start({ redis: redis.url, nodes: 2, env: { ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000' } }),
    NodeProcess.start({ env: { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000' } }),
  ]);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await Promise.all([cluster.dispose(), guarded.kill()]);
  await redis.dispose();
});

function connect(url: string | string[], options: ClientOptions = {}, Client = RoomcastClient): BaseClient {
  const client = new Client(url, { reconnect: { baseMs: 50, capMs: 500 }, ...options });
  clients.push(client);
  return client;
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe.each([
  ['MessagePack', RoomcastClient],
  ['JSON', JsonClient as unknown as typeof RoomcastClient],
])('clients that speak %s', (name, Client) => {
  it('talk to one another through two nodes', async () => {
    const [a, b] = cluster.urls.map((url) => connect(url, {}, Client).room<string>(`talk:${name}`));
    const heard = b!.messages();
    await new Promise((resolve) => b!.on('joined', resolve));
    await a!.publish('hello');
    expect((await heard.next()).value.data).toBe('hello');
    expect((await b!.history()).messages.map(({ data }) => data)).toEqual(['hello']);
    expect((await a!.listMembers()).count).toBeGreaterThan(0);
  });

  it('miss nothing and store nothing twice when the node of both is killed', async () => {
    const writer = connect(cluster.urls, {}, Client).room<number>(`killed:${name}`);
    const reader = connect(cluster.urls, {}, Client).room<number>(`killed:${name}`, { last: 0 });
    const heard: number[] = [];
    reader.on('message', ({ data }) => heard.push(data));
    await new Promise((resolve) => reader.on('joined', resolve));
    const published: Promise<unknown>[] = [];
    for (const n of numbers(600)) {
      published.push(writer.publish(n));
      if (n === 300) await cluster.kill(0);
      if (n % 20 === 0) await new Promise((done) => setTimeout(done, 2));
    }
    await Promise.all(published);
    await waitFor(() => heard.length >= 600, { timeoutMs: 15_000 });
    expect(heard).toEqual(numbers(600));
    expect((await writer.history({ limit: 1 })).position[1]).toBe(600);
    await cluster.run(0);
  });
});

describe('a link', () => {
  it('that dies without a close is found by the silence, and replaced', async () => {
    const port = Number(new URL(cluster.urls[1]!).port);
    const proxy = await DeafeningProxy.start(port);
    const client = connect(`ws://127.0.0.1:${proxy.port}/ws`, { probeTimeoutMs: 300 });
    const room = client.room<string>('deaf');
    await new Promise((resolve) => room.on('joined', resolve));
    const heard = room.messages();
    expect(proxy.deafen('roomcast')).toBe(1);
    await connect(cluster.urls[1]!).publish('deaf', 'while deaf');
    expect((await heard.next()).value.data).toBe('while deaf');
    expect(client.status.state).toBe('connected');
    proxy.dispose();
  });

  it('to a node that restarts in order comes back, and what was under way is stored once', async () => {
    const client = connect(cluster.urls);
    const room = client.room<number>('rolling');
    await new Promise((resolve) => room.on('joined', resolve));
    const node = client.status.state === 'connected' ? client.status.node : '';
    const reasons: string[] = [];
    client.onStatus((status) => status.state === 'waiting' && reasons.push(status.reason));
    const published = numbers(100).map((n) => room.publish(n));
    expect(await cluster.stop(0)).toBe(0);
    await Promise.all(published);
    await waitFor(() => client.status.state === 'connected' && client.status.node !== node, {
      timeoutMs: 15_000,
    });
    expect(reasons[0]).toBe('node restarting');
    expect((await room.history()).position[1]).toBe(100);
    await cluster.run(0);
  });
});

describe('tokens', () => {
  const fresh = (seconds: number) => token({ sub: 'ann', exp: secondsFromNow(seconds) });

  it('are refreshed over the open connection before they expire', async () => {
    const asked: TokenReason[] = [];
    const client = connect(guarded.wsUrl, {
      getToken: ({ reason }) => {
        asked.push(reason);
        return fresh(3);
      },
    });
    await client.publish('r', 1);
    const { connection } = client.status as { connection: string };
    await waitFor(() => asked.length >= 3, { timeoutMs: 15_000 });
    await client.publish('r', 2);
    expect(client.status).toMatchObject({ state: 'connected', connection, user: 'ann' });
    expect(asked).toEqual(['connect', 'refresh', 'refresh']);
  });

  it('that are refused end the client, with the reason of the node', async () => {
    const client = connect(guarded.wsUrl, { token: 'not a token' });
    client.connect();
    await waitFor(() => client.status.state === 'closed');
    expect(client.status).toMatchObject({ state: 'closed', code: 4501 });
    expect(JSON.stringify(client.inspect())).not.toContain('not a token');
  });

  it('that have expired are replaced by fresh ones', async () => {
    const asked: TokenReason[] = [];
    const client = connect(guarded.wsUrl, {
      getToken: ({ reason }) => {
        asked.push(reason);
        return fresh(reason === 'connect' ? -3600 : 60);
      },
    });
    await client.publish('r', 1);
    expect(asked).toEqual(['connect', 'expired']);
  });
});
