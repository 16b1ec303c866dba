import { afterEach, describe, expect, it, vi } from 'vitest';
import { UnknownOutcomeError } from '../../src/client/errors.ts';
import { jsonCodec } from '../../src/client/json-codec.ts';
import { msgpackCodec } from '../../src/client/msgpack-codec.ts';
import { keepIn, type StateStore, type StoredState, webStorage } from '../../src/client/storage.ts';
import { toPublish, toStored } from '../../src/client/stored-publish.ts';
import { World } from './world.ts';

/** A store that outlives clients. */
class Shelf implements StateStore {
  /** JSON, as most stores keep it. */
  kept: string | null = null;
  saves = 0;

  load(): StoredState | null {
    return JSON.parse(this.kept ?? 'null') as StoredState | null;
  }

  save(state: StoredState): void {
    this.saves++;
    this.kept = JSON.stringify(state);
  }
}

const JOINED = { epoch: 'e', offset: 0, recovered: false };

/** A page that joined, heard message 7, published twice, got one answer, and is gone without a word. */
async function leftBehind(shelf: Shelf): Promise<World> {
  const world = new World();
  const client = await world.connected({ storage: keepIn(shelf) });
  client.room('r');
  await world.settle();
  world.socket.answer('join', JOINED);
  world.socket.receive(['message', 'r', 7, 1, null, 'seven']);
  for (const data of ['stored', 'sent']) void client.publish('r', data).catch(() => undefined);
  await world.settle();
  world.socket.receive(['ok', world.socket.commands('publish')[0]?.[1], { epoch: 'e', offset: 8 }]);
  world.socket.drop();
  void client.publish('r', 'offline').catch(() => undefined);
  await world.pass(110);
  return world;
}

describe('a client with a storage', () => {
  it('goes on after a reload: rooms from where they stood, and what waited first, under its keys', async () => {
    const shelf = new Shelf();
    const before = await leftBehind(shelf);
    const world = new World();
    const client = world.client({ storage: keepIn(shelf) });
    client.room('r', { last: 50 });
    void client.publish('r', 'new');
    await world.settle();
    expect(client.pending).toBe(3);
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 7] }]]);
    const published = world.socket.commands('publish');
    expect(published.map((frame) => frame[3])).toEqual(['sent', 'offline', 'new']);
    expect(published[0]?.[4]).toEqual(before.sockets[0]?.commands('publish')[1]?.[4]);
    for (const [, id] of published) world.socket.receive(['ok', id, { epoch: 'e', offset: 9 }]);
    await world.pass(110);
    expect(shelf.load()).toEqual({ queue: [], positions: { r: ['e', 7] } });
  });

  it('does not send again what nodes may have forgotten', async () => {
    const shelf = new Shelf();
    await leftBehind(shelf);
    const world = new World();
    world.scheduler.sleep(600_000);
    const client = world.client({ storage: keepIn(shelf) });
    client.connect();
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual(['offline']);
    expect(world.errors).toEqual([expect.any(UnknownOutcomeError)]);
  });

  it('connects when a slow storage has answered', async () => {
    const world = new World();
    let answer: (state: StoredState) => void = () => undefined;
    const load = () => new Promise<StoredState>((done) => (answer = done));
    const client = world.client({ storage: keepIn({ load, save: () => undefined }) });
    client.room('r');
    await world.settle();
    expect(world.sockets).toEqual([]);
    answer({ queue: [], positions: { r: ['e', 3], later: ['e', 4] } });
    await world.settle();
    client.room('later');
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('join').map((frame) => frame[3])).toEqual([
      { since: ['e', 3] },
      { since: ['e', 4] },
    ]);
  });

  it('prefers the position that the application gives', async () => {
    const shelf = new Shelf();
    await leftBehind(shelf);
    const world = new World();
    const client = world.client({ storage: keepIn(shelf) });
    client.room('r', { since: ['e', 2] });
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('join')[0]?.[3]).toEqual({ since: ['e', 2] });
  });

  it('saves once for many changes, and at once when it is closed', async () => {
    const world = new World();
    const shelf = new Shelf();
    const client = await world.connected({ storage: keepIn(shelf) });
    client.room('r');
    await world.settle();
    world.socket.answer('join', JOINED);
    for (let i = 1; i <= 50; i++) world.socket.receive(['message', 'r', i, 1, null, i]);
    expect(shelf.saves).toBe(0);
    await world.pass(110);
    expect(shelf.saves).toBe(1);
    world.socket.receive(['message', 'r', 51, 1, null, 51]);
    client.close();
    expect(shelf.load()?.positions).toEqual({ r: ['e', 51] });
    expect(world.scheduler.timers).toBe(0);
  });

  it('does not keep what close rejected: the application was told that it is not published', async () => {
    const world = new World();
    const shelf = new Shelf();
    const client = world.client({ storage: keepIn(shelf) });
    await world.settle();
    const published = client.publish('r', 1);
    client.close();
    await expect(published).rejects.toThrow('closed');
    expect(shelf.load()?.queue).toEqual([]);
  });

  it('does not save again before the last one is done', async () => {
    const world = new World();
    const done: (() => void)[] = [];
    const save = vi.fn(() => new Promise<void>((resolve) => done.push(resolve)));
    const client = await world.connected({ storage: keepIn({ load: () => null, save }) });
    for (let i = 0; i < 3; i++) {
      void client.publish('r', i);
      await world.pass(200);
    }
    expect(save).toHaveBeenCalledTimes(1);
    done[0]?.();
    await world.settle();
    await world.pass(200);
    expect(save).toHaveBeenCalledTimes(2);
  });

  it.each([
    ['load', { load: () => JSON.parse('{'), save: () => undefined }],
    [
      'save',
      {
        load: () => null,
        save: () => {
          throw new Error('full');
        },
      },
    ],
    ['save later', { load: () => null, save: () => Promise.reject(new Error('full')) }],
  ])('goes on without it when it cannot %s, and says so', async (_what, store) => {
    const world = new World();
    const client = await world.connected({ storage: keepIn(store) });
    void client.publish('r', 1);
    await world.pass(200);
    expect(client.status.state).toBe('connected');
    expect(world.errors).toEqual([expect.any(Error)]);
  });
});

describe('a stored publish', () => {
  const publish = {
    room: 'r',
    options: { key: 'k' },
    sentAt: null,
    doubtfulSince: { nowMs: 0, wallMs: 5 },
  };

  it.each([
    ['MessagePack', msgpackCodec, { text: 'é', bytes: new Uint8Array([0, 255]), at: new Date(0) }],
    ['JSON', jsonCodec, { text: 'é' }],
  ])('of a client that speaks %s comes back as it was', (_name, codec, data) => {
    const stored = JSON.parse(JSON.stringify(toStored({ ...publish, data: codec.pack(data) }, codec)));
    const back = toPublish(stored, codec);
    expect(back).toMatchObject({ room: 'r', options: { key: 'k' }, doubtfulSinceMs: 5 });
    expect(codec.unpack(back!.data)).toEqual(data);
  });

  it('of the other encoding is left out', () => {
    const stored = toStored({ ...publish, data: jsonCodec.pack(1) }, jsonCodec);
    expect(toPublish(stored, msgpackCodec)).toBeNull();
  });
});

describe('webStorage', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('keeps the state under its key, and saves when the page goes away', async () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
    } as unknown as Storage;
    const page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
    const world = new World();
    const client = await world.connected({ storage: webStorage('chat', storage) });
    void client.publish('r', 1).catch(() => undefined);
    page.dispatchEvent(new Event('pagehide'));
    expect(JSON.parse(kept.get('chat')!)).toMatchObject({ queue: [{ room: 'r', data: '1' }] });
    client.close();
    kept.clear();
    page.dispatchEvent(new Event('pagehide'));
    expect(kept.size).toBe(0);
  });
});
