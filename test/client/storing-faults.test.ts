/** Stores that hang, throw, are full, hold what nobody expects, or are shared. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RoomcastClient } from '../../src/client/index.ts';
import { keepIn, type StateStore, type StoredState, webStorage } from '../../src/client/storage.ts';
import { startTestBroker } from '../../src/testing/index.ts';
import { waitFor } from '../support/wait.ts';
import { World } from './world.ts';

const JOINED = { epoch: 'e', offset: 0, recovered: false };
const GOOD = {
  room: 'r',
  encoding: 'roomcast.v1.json',
  data: '"good"',
  options: { key: 'k' },
  doubtfulSinceMs: null,
};

/** A store that holds `state`, and what was saved into it. */
function storeWith(state: unknown) {
  const saved: StoredState[] = [];
  const store: StateStore = {
    load: () => state as StoredState,
    save: (next) => void saved.push(structuredClone(next)),
  };
  return { saved, storage: keepIn(store) };
}

describe('a store that hangs', () => {
  it('holds the client up for a while only, is told, and is left as it is', async () => {
    const world = new World();
    let loaded: (state: null) => void = () => undefined;
    const save = vi.fn();
    const storage = keepIn({
      load: () =>
        new Promise<null>((done) => {
          loaded = done;
        }),
      save,
    });
    const client = world.client({ storage });
    const published = client.publish('r', 1);
    await world.pass(4_900);
    expect(world.sockets).toHaveLength(0);
    await world.pass(200);
    expect(world.errors).toMatchObject([{ message: expect.stringContaining('did not load in time') }]);
    world.socket.accept();
    await world.settle();
    world.socket.answer('publish', { epoch: 'e', offset: 1 });
    expect(await published).toEqual({ epoch: 'e', offset: 1 });
    loaded(null);
    await world.pass(1_000);
    client.close();
    expect(save).not.toHaveBeenCalled();
    expect(world.scheduler.timers).toBe(0);
  });

  it('leaves no timer behind when the client is closed meanwhile', async () => {
    const world = new World();
    const client = world.client({
      storage: keepIn({ load: () => new Promise<null>(() => undefined), save: vi.fn() }),
    });
    client.connect();
    await world.settle();
    client.close();
    expect(world.scheduler.timers).toBe(0);
    await world.pass(10_000);
    expect(world.sockets).toHaveLength(0);
    expect(world.errors).toEqual([]);
  });
});

describe('a store that is full', () => {
  it('is told once, and again after a save that worked', async () => {
    const world = new World();
    let isFull = true;
    const save = () => {
      if (isFull) throw new Error('full');
    };
    const client = await world.connected({ storage: keepIn({ load: () => null, save }) });
    client.room('r');
    await world.settle();
    world.socket.answer('join', JOINED);
    for (let n = 1; n <= 30; n++) {
      isFull = n <= 10 || n > 20;
      world.socket.receive(['message', 'r', n, 1, null, n]);
      await world.pass(110);
    }
    expect(world.errors).toEqual([new Error('full'), new Error('full')]);
  });
});

describe('a store that holds something else', () => {
  it.each([
    ['a number', 7],
    ['a text', 'hello'],
    ['a list', [1, 2]],
    ['fields of other types', { queue: 7, positions: 'x' }],
    ['nulls', { queue: null, positions: null }],
    [
      'positions of another shape',
      { queue: [], positions: { r: 'e', s: ['e'], t: ['e', 'x'], u: [1, 1], v: null } },
    ],
  ])('(%s) does not keep the client from anything, and is written anew', async (_what, state) => {
    const world = new World();
    const { saved, storage } = storeWith(state);
    const client = await world.connected({ storage });
    client.room('r', { last: 5 });
    await world.settle();
    expect(world.socket.commands('join')[0]?.[3]).toEqual({ last: 5 });
    world.socket.answer('join', JOINED);
    await world.pass(200);
    expect(saved.at(-1)).toEqual({ queue: [], positions: { r: ['e', 0] } });
    expect(client.status.state).toBe('connected');
  });

  it.each([
    ['no object', null],
    ['no room', { ...GOOD, room: undefined }],
    ['no options', { ...GOOD, options: undefined }],
    ['no key, so that it could be stored twice', { ...GOOD, options: {} }],
    ['a payload that is no JSON', { ...GOOD, data: '"},["leave",1,"x"]' }],
    ['a time that is none', { ...GOOD, doubtfulSinceMs: 'yesterday' }],
  ])('(a publish with %s) loses that one, says so, and sends the others', async (_what, damaged) => {
    const world = new World();
    const { storage } = storeWith({
      queue: [GOOD, damaged, { ...GOOD, data: '"also good"' }],
      positions: {},
    });
    const client = await world.connected({ storage });
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual(['good', 'also good']);
    expect(world.errors).toHaveLength(1);
    expect(client.status.state).toBe('connected');
  });
});

describe('a page that may not use its storage', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('goes on without it, and says so', async () => {
    Object.defineProperty(globalThis, 'localStorage', {
      configurable: true,
      get: () => {
        throw new Error('The operation is insecure.');
      },
    });
    const world = new World();
    const client = await world.connected({ storage: webStorage('chat') });
    Reflect.deleteProperty(globalThis, 'localStorage');
    expect(client.status.state).toBe('connected');
    expect(world.errors).toEqual([new Error('The operation is insecure.')]);
  });
});

describe('a room that was left', () => {
  it('goes on where it was left, not where the page began, and nothing comes twice', async () => {
    const world = new World();
    const { storage } = storeWith({ queue: [], positions: { r: ['e', 3] } });
    const client = await world.connected({ storage });
    const room = client.room('r');
    await world.settle();
    world.socket.answer('join', { ...JOINED, offset: 3, recovered: true });
    for (let n = 4; n <= 9; n++) world.socket.receive(['message', 'r', n, 1, null, n]);
    room.leave();
    client.room('r');
    await world.settle();
    expect(world.socket.commands('join').map((frame) => frame[3])).toEqual([
      { since: ['e', 3] },
      { since: ['e', 9] },
    ]);
  });

  it('is kept, but only as many as a store can hold', async () => {
    const world = new World();
    const { saved, storage } = storeWith(null);
    const client = await world.connected({ storage });
    for (let n = 1; n <= 1_100; n++) {
      const room = client.room(`r${n}`, { since: ['e', n] });
      room.leave();
    }
    await world.pass(200);
    const kept = Object.keys(saved.at(-1)!.positions);
    expect(kept).toHaveLength(1_000);
    expect([kept[0], kept.at(-1)]).toEqual(['r101', 'r1100']);
  });
});

describe('a store that takes its time', () => {
  it('is written one state after the other, also when the client is closed meanwhile: the last one stays', async () => {
    const world = new World();
    const done: (() => void)[] = [];
    const states: StoredState[] = [];
    const save = (state: StoredState) => {
      states.push(structuredClone(state));
      return new Promise<void>((resolve) => done.push(resolve));
    };
    const client = await world.connected({ storage: keepIn({ load: () => null, save }) });
    client.room('r');
    await world.settle();
    world.socket.answer('join', JOINED);
    void client.publish('r', 1).catch(() => undefined);
    await world.pass(200);
    world.socket.receive(['message', 'r', 1, 1, null, 1]);
    client.close();
    expect(states).toHaveLength(1);
    done[0]?.();
    await world.settle();
    expect(states.at(-1)).toEqual({ queue: [], positions: { r: ['e', 1] } });
    done[1]?.();
    await world.settle();
    expect(states).toHaveLength(2);
  });
});

describe('two clients with one store', () => {
  it('publish what waited there once between them', async () => {
    const broker = await startTestBroker({ rooms: [{ match: '*' }] });
    let kept = 'null';
    const storage = keepIn({
      load: () => JSON.parse(kept) as StoredState,
      save(state) {
        kept = JSON.stringify(state);
      },
    });
    const connect = () => new RoomcastClient(broker.url, { WebSocket: broker.WebSocket, storage });
    const openSocket = () => Promise.reject(new Error('offline'));
    const offline = new RoomcastClient('ws://nowhere.test', { environment: { openSocket }, storage });
    const lost = [1, 2, 3].map((n) => offline.publish('r', n).catch(() => undefined));
    await waitFor(() => (JSON.parse(kept) as StoredState | null)?.queue.length === 3);
    const before = kept;
    offline.close();
    await Promise.all(lost);
    kept = before;
    const clients = [connect(), connect()];
    for (const client of clients) client.connect();
    await waitFor(() =>
      clients.every(({ status, pending }) => status.state === 'connected' && pending === 0),
    );
    const { messages } = await clients[0]!.history('r');
    expect(messages.map(({ data }) => data)).toEqual([1, 2, 3]);
    for (const client of clients) client.close();
    await broker.stop();
  });
});
