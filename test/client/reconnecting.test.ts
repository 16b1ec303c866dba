import { describe, expect, it } from 'vitest';
import type { WaitingStatus } from '../../src/client/status.ts';
import { World } from './world.ts';

/** How long the client is going to wait. */
function waits(world: World, client: { status: unknown }): number {
  return Math.round((client.status as WaitingStatus).retryAtMs - world.scheduler.wallMs());
}

describe('the wait between attempts', () => {
  it('is a random share of a step that doubles up to the cap', async () => {
    const world = new World();
    const client = world.client({ reconnect: { baseMs: 100, capMs: 1000 } });
    client.connect();
    await world.settle();
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      world.scheduler.chance = 0.999_999;
      world.socket.drop();
      seen.push(waits(world, client));
      await world.nextSocket();
    }
    expect(seen).toEqual([100, 200, 400, 800, 1000, 1000]);
    world.scheduler.chance = 0;
    world.socket.drop();
    expect(waits(world, client)).toBe(0);
  });

  it('never ends: the client goes on for ever', async () => {
    const world = new World();
    world.client().connect();
    await world.settle();
    for (let i = 0; i < 50; i++) {
      world.socket.drop();
      await world.nextSocket();
    }
    expect(world.sockets).toHaveLength(51);
  });

  it('begins small again after a connection that lasted, not after one that broke at once', async () => {
    const world = new World();
    const client = world.client({ reconnect: { baseMs: 100, capMs: 10_000 } });
    world.scheduler.chance = 0.999_999;
    client.connect();
    await world.settle();
    for (const expected of [100, 200, 400]) {
      world.socket.accept();
      world.socket.drop();
      expect(waits(world, client)).toBe(expected);
      await world.nextSocket();
    }
    world.socket.accept();
    await world.pass(6000);
    world.socket.drop();
    expect(waits(world, client)).toBe(100);
  });

  it('is three times as long in a hidden page', async () => {
    const world = new World();
    const client = await world.connected({ reconnect: { baseMs: 1000 } });
    world.page.isHidden = true;
    world.socket.drop();
    expect(waits(world, client)).toBe(1500);
  });

  it('is what the node asked for in bye, in a hidden page too', async () => {
    const world = new World();
    const client = await world.connected();
    world.page.isHidden = true;
    world.socket.receive(['bye', 1012, { reconnectAfterMs: 7000 }]);
    expect(client.status.state).toBe('connected');
    world.socket.drop(1012, 'node restarting');
    expect(waits(world, client)).toBe(7000);
    world.page.tell('back');
    await world.pass(6900);
    expect(world.sockets).toHaveLength(1);
    await world.pass(200);
    expect(world.sockets).toHaveLength(2);
  });

  it('is what an error asked for', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.receive(['error', 0, 'rate_limited', 'too fast', { retryAfterMs: 4000 }]);
    world.socket.drop(4009, 'rate limit');
    expect(waits(world, client)).toBe(4000);
    expect(client.status).toMatchObject({ reason: 'rate_limited: too fast' });
  });

  it.each(['shown', 'online'])('ends when the page is %s again', async () => {
    const world = new World();
    const client = world.client({ reconnect: { baseMs: 20_000 } });
    client.connect();
    await world.settle();
    world.socket.drop();
    await world.pass(1000);
    world.page.tell('offline');
    expect(world.sockets).toHaveLength(1);
    world.page.tell('back');
    world.page.tell('back');
    await world.pass(60);
    expect(world.sockets).toHaveLength(2);
    await world.pass(9000);
    expect(world.sockets).toHaveLength(2);
  });
});

describe('the close code', () => {
  it.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4002, 4008, 4009, 4010, 4499])(
    '%i makes the client come back',
    async (code) => {
      const world = new World();
      const client = await world.connected();
      world.socket.drop(code);
      expect(client.status.state).toBe('waiting');
      await world.nextSocket();
    },
  );

  it.each([1002, 1003, 1007, 1009, 4500, 4501, 4503, 4504, 4999])('%i makes it stop', async (code) => {
    const world = new World();
    const client = await world.connected();
    world.socket.drop(code, 'enough');
    expect(client.status).toMatchObject({ state: 'closed', reason: 'enough', code });
    await world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
    expect(world.scheduler.timers).toBe(0);
    expect(world.page.watchers).toBe(0);
  });

  it('of a stop settles everything and ends every loop with the reason', async () => {
    const world = new World();
    const client = await world.connected();
    const loop = client.room('r').messages().next();
    const published = client.publish('r', 1);
    world.socket.drop(4503, 'disconnected by the server');
    await expect(loop).rejects.toThrow('disconnected by the server');
    await expect(published).rejects.toThrow('disconnected by the server');
  });
});

describe('after a reconnect', () => {
  it('all rooms are joined in one WebSocket message, with since alone', async () => {
    const world = new World();
    const client = await world.connected();
    client.room('a', { last: 10 });
    client.room('b', { resume: true });
    client.room('c');
    await world.settle();
    expect(world.socket.messages).toEqual([
      [
        ['join', 1, 'a', { last: 10 }],
        ['join', 2, 'b', { resume: true }],
        ['join', 3, 'c', {}],
      ],
    ]);
    world.socket.answer('join', { epoch: 'e', offset: 7, recovered: false, from: 2 }, 'a');
    world.socket.answer('join', { epoch: 'e', offset: 9, recovered: true, acked: 4 }, 'b');
    world.socket.answer('join', { epoch: '', offset: 0, recovered: false }, 'c');
    const socket = await world.reconnect();
    expect(socket.messages).toEqual([
      [
        ['join', 1, 'a', { since: ['e', 2] }],
        ['join', 2, 'b', { since: ['e', 4] }],
        ['join', 3, 'c', {}],
      ],
    ]);
  });

  it('what would not fit one WebSocket message is split', async () => {
    const world = new World();
    const client = await world.connected({}, { maxPayload: 16_384 });
    for (let i = 0; i < 500; i++) client.room(`room number ${i} with a name that is rather long`);
    await world.settle();
    const sizes = world.socket.messages.map(
      (frames) => frames.map((frame) => JSON.stringify(frame)).join('\n').length,
    );
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384);
    expect(world.socket.commands('join')).toHaveLength(500);
  });
});
