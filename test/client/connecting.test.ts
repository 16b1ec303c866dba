import { describe, expect, it } from 'vitest';
import { ClosedError } from '../../src/client/errors.ts';
import { RoomcastClient } from '../../src/client/json.ts';
import type { ClientStatus } from '../../src/client/status.ts';
import { World } from './world.ts';

describe('a client', () => {
  it('opens nothing until it is used', async () => {
    const world = new World();
    const client = world.client();
    await world.settle();
    expect(world.sockets).toEqual([]);
    expect(client.status).toEqual({ state: 'idle', transport: 'websocket' });
  });

  it.each([
    ['connect', (client: RoomcastClient) => client.connect()],
    ['room', (client: RoomcastClient) => client.room('r')],
    ['publish', (client: RoomcastClient) => client.publish('r', 1).catch(() => undefined)],
    ['history', (client: RoomcastClient) => client.history('r').catch(() => undefined)],
  ])('connects with the first use, here %s, and only once', async (_name, use) => {
    const world = new World();
    const client = world.client();
    use(client);
    use(client);
    await world.settle();
    expect(world.sockets.map(({ url, protocol }) => [url, protocol])).toEqual([
      ['ws://node.test/ws', 'roomcast.v1.json'],
    ]);
  });

  it('replaces its status whole with each change, and tells listeners until they are removed', async () => {
    const world = new World();
    const client = world.client();
    const seen: ClientStatus[] = [];
    const off = client.onStatus((status) => seen.push(status));
    client.connect();
    await world.settle();
    world.socket.accept();
    world.socket.drop(1006, 'gone');
    expect(seen.map(({ state }) => state)).toEqual(['connecting', 'connected', 'waiting']);
    expect(seen[0]).toMatchObject({ attempt: 1 });
    expect(seen[1]).toEqual({
      state: 'connected',
      transport: 'websocket',
      connection: 'node0001-1',
      node: 'node0001',
      user: null,
    });
    expect(seen[2]).toMatchObject({ attempt: 1, reason: 'gone' });
    expect(seen.every((status) => Object.isFrozen(status))).toBe(true);
    expect(client.status).toBe(seen[2]);
    off();
    await world.nextSocket();
    expect(seen).toHaveLength(3);
  });

  it('says when the next attempt comes', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.drop();
    const { retryAtMs } = client.status as { retryAtMs: number };
    await world.pass(retryAtMs - world.scheduler.wallMs() - 1);
    expect(world.sockets).toHaveLength(1);
    await world.pass(2);
    expect(world.sockets).toHaveLength(2);
  });

  it('gives up on a link that does not open in time, and tries again', async () => {
    const world = new World();
    const client = world.client({ connectTimeoutMs: 3000 });
    client.connect();
    await world.settle();
    await world.pass(3000);
    expect(world.socket.isClosed).toBe(true);
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'the node did not answer in time' });
    await world.nextSocket();
  });

  it('gives up on a link that opens, and on which no hello comes', async () => {
    const world = new World();
    const client = world.client();
    client.connect();
    await world.settle();
    world.socket.open();
    await world.pass(10_000);
    expect(client.status.state).toBe('waiting');
  });

  it.each([
    [{ message: 'connect ECONNREFUSED 127.0.0.1:1' }, 'connect ECONNREFUSED 127.0.0.1:1'],
    [{}, 'no node answered: check the URL (1006)'],
  ])('says why a link did not open, as far as the socket knows: %o', async (event, reason) => {
    const world = new World();
    const client = world.client();
    client.connect();
    await world.settle();
    world.socket.onerror?.(event);
    world.socket.drop();
    expect(client.status).toMatchObject({ state: 'waiting', reason });
  });

  it('says that a link was lost where it had been open', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.drop();
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'the connection was lost (1006)' });
  });

  it('says why where no socket can be made, and tries again', async () => {
    const world = new World();
    world.refusal = new Error('there is no WebSocket here');
    const client = world.client();
    client.connect();
    await world.settle();
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'there is no WebSocket here' });
    world.refusal = null;
    await world.nextSocket();
  });

  it('tries several URLs in turn', async () => {
    const world = new World();
    const client = world.client({}, ['ws://a.test/ws', 'wss://b.test/', 'https://c.test/path?x=1']);
    client.connect();
    await world.settle();
    for (let i = 0; i < 3; i++) {
      world.socket.drop();
      await world.nextSocket();
    }
    expect(world.sockets.map(({ url }) => url)).toEqual([
      'ws://a.test/ws',
      'wss://b.test/ws',
      'wss://c.test/path?x=1',
      'ws://a.test/ws',
    ]);
  });

  it.each(['not a url?token=secret', 'ftp://node.test?token=secret', ''])(
    'refuses %j at once, without what may be a token',
    (url) => {
      expect(() => new RoomcastClient(url)).toThrow(/pass one such as wss:/);
      expect(() => new RoomcastClient(url)).not.toThrow(/secret/);
    },
  );

  it('refuses an empty list of URLs', () => {
    expect(() => new RoomcastClient([])).toThrow(TypeError);
    expect(() => new RoomcastClient(undefined as unknown as string)).toThrow(
      'not a WebSocket URL: "undefined"',
    );
  });
});

describe('close', () => {
  it('leaves no timer, no listener and no open socket, and nothing reconnects after it', async () => {
    const world = new World();
    const client = await world.connected();
    client.room('r');
    const published = client.publish('r', 1);
    const asked = client.history('r');
    await world.settle();
    client.close();
    client.close();
    await expect(published).rejects.toThrow('unknown whether this message was stored');
    await expect(asked).rejects.toThrow(ClosedError);
    expect(client.status).toEqual({
      state: 'closed',
      transport: 'websocket',
      reason: 'close() was called',
      code: null,
    });
    expect(world.socket.isClosed).toBe(true);
    expect(world.scheduler.timers).toBe(0);
    expect(world.page.watchers).toBe(0);
    expect(world.socket.onclose).toBeNull();
    client.connect();
    await world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it.each([
    ['before the first use', async (_world: World) => undefined],
    [
      'while the link is being opened',
      async (world: World, client: RoomcastClient) => {
        client.connect();
        await world.settle();
      },
    ],
    [
      'before hello',
      async (world: World, client: RoomcastClient) => {
        client.connect();
        await world.settle();
        world.socket.open();
      },
    ],
    [
      'while it waits for the next attempt',
      async (world: World, client: RoomcastClient) => {
        client.connect();
        await world.settle();
        world.socket.drop();
      },
    ],
    [
      'in the moment of connecting',
      async (world: World, client: RoomcastClient) => {
        client.onStatus(({ state }) => state === 'connected' && client.close());
        client.connect();
        await world.settle();
        world.socket.accept();
      },
    ],
  ])('ends everything %s', async (_when, get) => {
    const world = new World();
    const client = world.client();
    await get(world, client);
    client.close();
    const opened = world.sockets.length;
    await world.pass(60_000);
    expect(world.sockets).toHaveLength(opened);
    expect(world.sockets.every(({ isClosed, onclose }) => isClosed || onclose !== null)).toBe(true);
    expect(world.scheduler.timers).toBe(0);
    expect(client.status.state).toBe('closed');
  });

  it('refuses what is asked of the client afterwards', async () => {
    const world = new World();
    const client = await world.connected();
    client.close();
    expect(() => client.room('r')).toThrow(ClosedError);
    await expect(client.publish('r', 1)).rejects.toThrow(ClosedError);
    await expect(client.history('r')).rejects.toThrow(ClosedError);
    expect(client.signal('r', 1)).toBe('dropped');
  });

  it('still sends what was asked for in the same turn', async () => {
    const world = new World();
    const client = await world.connected();
    client.signal('r', 'bye');
    client.close();
    expect(world.socket.commands('publish')).toHaveLength(1);
  });
});
