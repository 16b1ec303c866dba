/** Where WebSockets are blocked: event streams and requests in their place, against a real node behind a proxy. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { BaseClient } from '../../src/client/client.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json-node.ts';
import { RoomcastClient } from '../../src/client/node.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { Room } from '../../src/client/room.ts';
import { NoUpgradeProxy } from '../support/no-upgrade-proxy.ts';
import { NodeProcess } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { Random } from '../support/random.ts';
import { SECRET, secondsFromNow, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

let node: NodeProcess;
let proxy: NoUpgradeProxy;
const clients: BaseClient[] = [];

beforeAll(async () => {
  node = await NodeProcess.start({
    env: {
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_AUTH_ANONYMOUS: 'true',
      ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '0',
      ROOMCAST_ROOMS: JSON.stringify([
        { match: 'closed:*', join: 'nobody' },
        { match: 'acked', acks: true },
        { match: '*', memberEvents: true },
      ]),
    },
  });
});

beforeEach(async () => {
  proxy = await NoUpgradeProxy.start(node.url);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  proxy.stop();
});

afterAll(() => node.stop());

function connect(url: string, options: ClientOptions = {}, Client = RoomcastClient): BaseClient {
  const client = new Client(url, { reconnect: { baseMs: 5, capMs: 40 }, ...options });
  clients.push(client);
  return client;
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

describe.each([
  ['MessagePack', RoomcastClient],
  ['JSON', JsonClient as unknown as typeof RoomcastClient],
])('a client that speaks %s and cannot open a WebSocket', (name, Client) => {
  it('reads a stream and publishes by requests, and says so', async () => {
    const outside = connect(node.url).room<string>(`talk:${name}`);
    await outside.publish('before');
    const client = connect(proxy.url, {}, Client);
    const room = client.room<string>(`talk:${name}`, { last: 5 });
    const heard = room.messages();
    expect((await heard.next()).value).toMatchObject({ data: 'before', offset: 1 });
    expect(client.status).toMatchObject({ state: 'connected', transport: 'sse' });
    expect(proxy.refused).toBeGreaterThanOrEqual(3);
    expect(await room.publish('wörld 👋')).toMatchObject({ offset: 2 });
    expect((await heard.next()).value.data).toBe('wörld 👋');
    const signals: unknown[] = [];
    outside.on('signal', ({ data }) => signals.push(data));
    expect(room.signal('typing')).toBe('sent');
    await waitFor(() => signals.length === 1);
    await expect(room.history()).rejects.toThrow('history needs a WebSocket');
  });

  it('misses nothing and stores nothing twice under cuts', async () => {
    const dice = new Random(1_202);
    const rooms = [0, 1, 2].map((n) => `cut:${name}:${n}`);
    const writer = connect(proxy.url, {}, Client);
    const reader = connect(proxy.url, {}, Client);
    const heard = rooms.map((room) => {
      const seen: number[] = [];
      reader.room<number>(room, { last: 100 }).on('message', ({ data }) => seen.push(data));
      return seen;
    });
    const stored: Promise<unknown>[] = [];
    for (const n of numbers(150)) {
      stored.push(...rooms.map((room) => writer.publish(room, n)));
      if (dice.next() < 0.1) proxy.cut();
      if (dice.next() < 0.3) await new Promise((done) => setTimeout(done, dice.whole(1, 20)));
    }
    await Promise.all(stored);
    await waitFor(() => heard.every((seen) => seen.at(-1) === 149), { timeoutMs: 15_000 });
    for (const seen of heard) expect(seen).toEqual(numbers(150).slice(150 - seen.length));
    const check = connect(node.url);
    for (const room of rooms) expect((await check.history(room, { limit: 1 })).position[1]).toBe(150);
  });
});

describe.each(['client.js', 'client-json.js'])(
  'the file %s for pages, where WebSockets are blocked',
  (file) => {
    it('works with the fallback that it loads: both know the names that were shortened', async () => {
      const built = (await import(new URL(`../../dist/${file}`, import.meta.url).href)) as {
        RoomcastClient: typeof RoomcastClient;
      };
      const client = connect(proxy.url, { WebSocket: WebSocket as never }, built.RoomcastClient);
      const room = client.room<string>(`built:${file}`);
      const heard = room.messages();
      expect(await room.publish('hello')).toMatchObject({ offset: 1 });
      expect((await heard.next()).value).toMatchObject({ data: 'hello', offset: 1 });
      expect(room.signal('typing')).toBe('sent');
      expect(client.status).toMatchObject({ state: 'connected', transport: 'sse' });
    });
  },
);

describe('a client on event streams', () => {
  it('joins and leaves rooms one after the other, and goes on in those that it has', async () => {
    const client = connect(proxy.url);
    const heard: string[] = [];
    const one = client.room<string>('one');
    one.on('message', ({ data }) => heard.push(data));
    await waitFor(() => one.state === 'joined');
    await one.publish('a');
    const two = client.room<string>('two');
    two.on('message', ({ data }) => heard.push(data));
    await one.publish('b');
    await waitFor(() => two.state === 'joined');
    await two.publish('c');
    await waitFor(() => heard.includes('c'));
    two.leave();
    await one.publish('d');
    await waitFor(() => heard.length === 4);
    expect(heard.toSorted()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('says who it is, and knows who is here', async () => {
    const names = (room: Room<unknown, unknown, string>) =>
      room.members.members.map(({ data }) => data).join();
    const outside = connect(node.url).room<unknown, unknown, string>('here', {
      members: true,
      presence: 'Ann',
    });
    await waitFor(() => names(outside) === 'Ann');
    const client = connect(proxy.url);
    const room = client.room<unknown, unknown, string>('here', { members: true, presence: 'Bob' });
    await waitFor(() => names(room) === 'Ann,Bob' && names(outside) === 'Ann,Bob');
    await outside.setPresence('Anna');
    await waitFor(() => names(room) === 'Anna,Bob');
    await room.setPresence('Robert');
    await waitFor(() => names(room) === 'Anna,Robert' && names(outside) === 'Anna,Robert');
    // Another room takes another stream, which knows as much.
    client.room('there');
    outside.leave();
    await waitFor(() => names(room) === 'Robert' && room.members.count === 1);
  });

  it('goes on where its user stopped', async () => {
    const options = { getToken: () => token({ sub: 'ann', exp: secondsFromNow(60) }) };
    const first = connect(proxy.url, options).room<number>('acked', { resume: true });
    await waitFor(() => first.state === 'joined');
    first.leave();
    const outside = connect(node.url, options);
    for (const n of [1, 2, 3]) await outside.publish('acked', n);
    await outside.ack('acked', [(await outside.history('acked')).position[0], 1]);
    const heard: number[] = [];
    const again = connect(proxy.url, options).room<number>('acked', { resume: true });
    again.on('message', ({ data }) => heard.push(data));
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual([2, 3]);
  });

  it('is told which room is refused, and joins the others', async () => {
    const client = connect(proxy.url);
    const names = ['open:1', 'closed:1', 'open:2', 'closed:2'];
    const refused: string[] = [];
    const rooms = names.map((name) => client.room(name));
    for (const room of rooms) room.on('refused', ({ code }) => refused.push(`${room.name} ${code}`));
    await waitFor(() => rooms[0]!.state === 'joined' && rooms[2]!.state === 'joined' && refused.length === 2);
    expect(refused).toEqual(['closed:1 forbidden', 'closed:2 forbidden']);
  });

  it('brings a token, a fresh one after it has expired, and ends with one that is not accepted', async () => {
    const reasons: string[] = [];
    const client = connect(proxy.url, {
      getToken: ({ reason }) => {
        reasons.push(reason);
        return token({ sub: 'ann', exp: secondsFromNow(reason === 'connect' ? -3600 : 60) });
      },
    });
    const room = client.room<string>('tokens');
    const heard = room.messages();
    await waitFor(() => room.state === 'joined');
    await room.publish('mine');
    expect((await heard.next()).value).toMatchObject({ sender: 'ann', data: 'mine' });
    expect(reasons).toEqual(['connect', 'expired']);
    const bad = connect(proxy.url, { token: 'not a token', onError: () => undefined });
    bad.room('tokens');
    await waitFor(() => bad.status.state === 'closed');
    expect(bad.status).toMatchObject({ code: 4501 });
  });

  it('keeps to WebSockets while nothing answers, and when the node is back', async () => {
    // Not a port that a connection of the client could get for itself.
    const flags = ['--port', String(await freePort())];
    const gone = await NodeProcess.start({ flags });
    const client = connect(gone.url);
    await client.publish('away', 1);
    const seen = new Set<string>();
    let attempts = 0;
    client.onStatus(({ state, transport }) => {
      seen.add(transport);
      if (state === 'waiting') attempts++;
    });
    await gone.kill();
    const stored = client.publish('away', 2);
    await waitFor(() => attempts >= 10);
    const back = await NodeProcess.start({ flags });
    expect(await stored).toMatchObject({ offset: 1 });
    expect([...seen]).toEqual(['websocket']);
    await back.stop();
  });

  it('leaves nothing open when it is closed', async () => {
    const client = connect(proxy.url);
    const room = client.room('closing');
    await waitFor(() => room.state === 'joined');
    client.close();
    await waitFor(async () =>
      (await (await fetch(`${node.url}/metrics`)).text()).match(/^roomcast_connections(\{.*\})? 0$/m),
    );
  });
});
