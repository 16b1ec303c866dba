/** Faults that recur in clients of brokers, one test for each: what other clients got wrong, and this one does not. */
import { describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { RoomcastClient } from '../../src/client/index.ts';
import { type Frame, outcome, World } from './world.ts';

const JOINED = { epoch: 'e', offset: 0, recovered: false };
const message = (offset: number): Frame => ['message', 'r', offset, 1, 'ann', `m${offset}`];

describe('a tab that slept', () => {
  it('does not stay dead while its socket says that it is open', async () => {
    const world = new World();
    const client = await world.connected();
    world.page.isHidden = true;
    // No timer runs, no close comes: the network changed while the machine slept.
    world.scheduler.sleep(8 * 3_600_000);
    world.page.isHidden = false;
    world.page.tell('back');
    await world.pass(5100);
    expect(client.status.state).toBe('waiting');
    await world.nextSocket();
    world.socket.accept();
    expect(client.status.state).toBe('connected');
  });
});

describe('a client that was closed', () => {
  it('does not connect again: not by its timer, its page, a late token or a use of it', async () => {
    const world = new World();
    let answer: (token: string) => void = () => undefined;
    const client = world.client({ getToken: () => new Promise((done) => (answer = done)) });
    const room = client.room('r');
    client.close();
    answer('late');
    world.page.tell('back');
    expect(() => room.rejoin()).toThrow('left');
    client.connect();
    await world.pass(60_000);
    expect(world.sockets).toEqual([]);
  });

  it('does not connect before it was asked to', async () => {
    const world = new World();
    world.client();
    world.page.tell('back');
    await world.pass(60_000);
    expect(world.sockets).toEqual([]);
  });

  it('is not kept alive by listeners on the page', async () => {
    const world = new World();
    const client = await world.connected();
    expect(world.page.watchers).toBe(1);
    client.close();
    expect(world.page.watchers).toBe(0);
  });
});

describe('the retry', () => {
  it.each([
    [1000, 'a clean close'],
    [1005, 'a close without a code'],
    [1001, 'a proxy that goes away'],
  ])('starts after %i, %s', async (code) => {
    const world = new World();
    const client = await world.connected();
    world.socket.drop(code);
    expect(client.status.state).toBe('waiting');
    await world.nextSocket();
  });

  it('never stops silently: not when opening a socket throws, again and again', async () => {
    const world = new World();
    const client = world.client();
    world.refusal = new Error('blocked');
    client.connect();
    await world.pass(600_000);
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'blocked' });
    world.refusal = null;
    await world.nextSocket();
    world.socket.accept();
    expect(client.status.state).toBe('connected');
  });
});

describe('a listener that throws', () => {
  it.each(['message', 'joined', 'state', 'gap', 'reset'] as const)(
    'on %s does not stall the client',
    async (name) => {
      const world = new World();
      const client = await world.connected();
      const room = client.room('r');
      const seen: number[] = [];
      room.on(name, () => {
        throw new Error('mine');
      });
      room.on('message', ({ offset }) => seen.push(offset));
      await world.settle();
      world.socket.receive(
        ['ok', 1, JOINED],
        message(1),
        ['gap', 'r', 2, 3, 'skipped'],
        ['reset', 'r', 'f', 0],
        message(1),
      );
      expect(seen).toEqual([1, 1]);
      expect(world.errors.length).toBeGreaterThan(0);
      await world.reconnect();
      expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['f', 1] }]]);
    },
  );

  it('on status does not stall the client, and neither does an onError that throws', async () => {
    const world = new World();
    const onError = () => {
      throw new Error('onError is broken too');
    };
    const client = world.client({ onError });
    client.onStatus(() => {
      throw new Error('mine');
    });
    client.connect();
    await world.settle();
    world.socket.accept();
    expect(client.status.state).toBe('connected');
  });
});

describe('leaving and joining inside a handler', () => {
  it('delivers nothing twice: the position moved before the handler ran', async () => {
    const world = new World();
    const client = await world.connected();
    const seen: number[] = [];
    const enter = (since?: readonly [string, number]) => {
      const room = client.room('r', since === undefined ? {} : { since });
      room.on('message', ({ offset }) => {
        seen.push(offset);
        if (offset !== 1) return;
        const { position } = room;
        room.leave();
        enter(position!);
      });
    };
    enter();
    await world.settle();
    world.socket.receive(['ok', 1, JOINED], message(1), message(2));
    await world.settle();
    expect(world.socket.commands('join').at(-1)?.[3]).toEqual({ since: ['e', 1] });
    world.socket.answer('leave', {});
    world.socket.answer('join', { epoch: 'e', offset: 2, recovered: true });
    world.socket.receive(message(2), message(3));
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('what a connection that is over still says', () => {
  it('is not heard, and moves no position back', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: number[] = [];
    room.on('message', ({ offset }) => seen.push(offset));
    await world.settle();
    const old = world.socket;
    old.answer('join', JOINED);
    old.receive(message(1));
    const { onmessage } = old;
    await world.reconnect();
    world.socket.answer('join', { epoch: 'e', offset: 5, recovered: true });
    world.socket.receive(...[2, 3, 4, 5].map(message));
    for (const late of [message(2), message(6)]) onmessage?.({ data: JSON.stringify(late) });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(room.position).toEqual(['e', 5]);
  });
});

describe('messages that were published offline', () => {
  it('are not overtaken by those that are published later', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.drop();
    for (let i = 0; i < 200; i++) void client.publish('r', i).catch(() => undefined);
    await world.nextSocket();
    // In the moment of connecting, as an application does that greets the room.
    client.onStatus(({ state }) => state === 'connected' && void client.publish('r', 'later'));
    world.socket.accept();
    await world.settle();
    const published = () => world.socket.commands('publish').map((frame) => frame[3]);
    while (published().length < 201) {
      for (const [, id] of world.socket.commands('publish')) {
        world.socket.receive(['ok', id, { epoch: 'e', offset: 1 }]);
      }
      await world.settle();
    }
    expect(published()).toEqual([...Array.from({ length: 200 }, (_, i) => i), 'later']);
  });

  it('are not doubled by retries: each keeps its key', async () => {
    const world = new World();
    const client = await world.connected();
    const published = outcome(client.publish('r', 'once'));
    await world.settle();
    const keys = new Set<unknown>();
    for (let i = 0; i < 5; i++) {
      keys.add((world.socket.commands('publish')[0]?.[4] as { key: string } | undefined)?.key);
      await world.reconnect();
    }
    expect(keys.size).toBe(1);
    world.socket.answer('publish', { epoch: 'e', offset: 1, duplicate: true });
    await world.settle();
    expect(published.value).toEqual({ epoch: 'e', offset: 1, duplicate: true });
  });
});

describe('the promise of a publish', () => {
  it.each([
    ['the link goes, and the client is closed', (world: World) => world.socket.drop()],
    ['the node stops the client', (world: World) => world.socket.drop(4503)],
    ['the answer is no frame', (world: World) => world.socket.receiveText('?')],
  ])('settles when %s', async (_what, happen) => {
    const world = new World();
    const client = await world.connected();
    const published = outcome(client.publish('r', 1));
    await world.settle();
    happen(world);
    client.close();
    await world.settle();
    expect(published.error).toBeInstanceOf(Error);
  });
});

describe('a token', () => {
  it('that changed does not lose the place in a room', async () => {
    const world = new World();
    let n = 0;
    const client = world.client({ getToken: () => `t${++n}` });
    client.room('r');
    for (const epoch of [1, 2]) {
      await world.settle();
      world.socket.open();
      await world.settle();
      world.socket.answer('auth', { user: 'ann', expiresAt: null });
      world.socket.receive(['hello', { connection: 'c', node: 'n', user: 'ann', maxPayload: 65_536 }]);
      await world.settle();
      if (epoch === 2) break;
      world.socket.receive(['ok', 2, JOINED], message(1));
      world.socket.drop(4002, 'token expired');
      await world.nextSocket();
    }
    expect(world.socket.commands('auth')).toEqual([['auth', 1, 't2']]);
    expect(world.socket.commands('join')).toEqual([['join', 2, 'r', { since: ['e', 1] }]]);
  });
});

describe('a second component in the same room', () => {
  it('does not throw, does not join twice, and does not end the first', async () => {
    const world = new World();
    const client = await world.connected();
    // As React does in StrictMode: mounted, unmounted, mounted again.
    const first = client.room('r');
    const second = client.room('r');
    first.leave();
    const third = client.room('r');
    const seen: string[] = [];
    second.on('message', () => seen.push('second'));
    third.on('message', () => seen.push('third'));
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1));
    second.leave();
    world.socket.receive(message(2));
    expect(seen).toEqual(['second', 'third', 'third']);
    expect(world.socket.commands('join')).toHaveLength(1);
  });
});

describe('what is no frame', () => {
  it.each([
    ['the page of a captive portal', '<!doctype html><title>Please sign in</title>'],
    ['JSON of something else', '{"status":"ok"}'],
    ['an array of something else', '[1,2,3]'],
    ['a frame that lacks its fields', '["bye",1012]'],
    ['bytes', new ArrayBuffer(8)],
  ])('(%s) ends the connection, not the program', async (_what, data) => {
    const world = new World();
    const client = await world.connected();
    world.socket.receiveText(data);
    expect(client.status).toMatchObject({
      state: 'waiting',
      reason: expect.stringContaining('something that is not Roomcast answered'),
    });
    expect(world.socket.isClosed).toBe(true);
    await world.nextSocket();
  });

  it('is told from frames of a newer node, which are skipped', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.receive(
      ['shout', 'r', 1],
      ['constructor'],
      ['ok', 99, {}],
      ['message', 'unknown', 1, 1, null, 1],
    );
    expect(client.status.state).toBe('connected');
  });
});

describe('recovery from an error', () => {
  it('does not begin from the start: the position stays', async () => {
    const world = new World();
    const client = await world.connected();
    client.room('r', { last: 10 });
    await world.settle();
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 3, recovered: false, from: 2 }], message(3));
    for (let i = 0; i < 3; i++) {
      await world.reconnect();
      world.socket.refuse('join', 'unavailable');
      await world.pass(1000);
      const joins = world.socket.commands('join').map((frame) => frame[3]);
      expect(joins).toEqual([{ since: ['e', 3] }, { since: ['e', 3] }]);
    }
  });

  it('loses nothing between the snapshot of a join and what is live', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r', { last: 2, members: true });
    const seen: unknown[] = [];
    room.on('message', ({ offset }) => seen.push(offset));
    await world.settle();
    const ann = { connection: 'a', user: 'ann' };
    const bob = { connection: 'b', user: 'bob' };
    world.socket.receive(
      [
        'ok',
        1,
        { epoch: 'e', offset: 2, recovered: false, from: 0, members: { count: 1, users: 1, members: [ann] } },
      ],
      message(1),
      ['member', 'r', 'joined', bob, 2],
      message(2),
      message(3),
    );
    expect(seen).toEqual([1, 2, 3]);
    expect(room.members.members).toEqual([ann, bob]);
  });
});

describe('a client that finds its WebSocket late', () => {
  it.each(['dropConnection', 'close'] as const)('survives %s before it has it', async (end) => {
    let found: (socket: unknown) => void = () => undefined;
    const openSocket = () => new Promise<never>((resolve) => (found = resolve as typeof found));
    const client = new RoomcastClient('ws://127.0.0.1:9', { environment: { openSocket } });
    client.connect();
    await vi.waitFor(() => expect(found.length).toBe(1));
    client[end]();
    const socket = new WebSocket('ws://127.0.0.1:9');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    found(socket);
    await closed;
    // What closing it this early emits would end the process if nobody listened.
    expect(socket.listenerCount('error')).toBe(1);
    client.close();
  });
});
