/** The files for pages: names inside are shortened, names that pages, nodes and storage know are not. */
import { describe, expect, it } from 'vitest';
import type { RoomEvents } from '../../src/client/room-events.ts';
import { keepIn, type StoredState } from '../../src/client/storage.ts';
import { World } from './world.ts';

const FILES = ['client.js', 'client-json.js'];
const load = (file: string) => import(new URL(`../../dist/${file}`, import.meta.url).href);
const ANN = { connection: 'c2', user: 'ann', info: null };
const EVENTS: Record<keyof RoomEvents, readonly (readonly [string, ...unknown[]])[]> = {
  state: [],
  joined: [],
  message: [['message', 'r', 1, 1, null, 'hi']],
  signal: [['signal', 'r', 1, null, 'typing']],
  member: [['member', 'r', 'joined', ANN, 2]],
  presence: [['presence', 'r', { ...ANN, data: 1 }]],
  members: [['members', 'r', { members: [], count: 9, partial: true }]],
  gap: [['gap', 'r', 2, 3]],
  reset: [['reset', 'r', 'f', 0]],
  removed: [['removed', 'r', 'rude']],
  refused: [],
};

describe('client-json.js', () => {
  it('tells a room everything by its name, and answers by the names of the reference', async () => {
    const { RoomcastClient } = await load('client-json.js');
    const world = new World();
    const client = new RoomcastClient('ws://node.test', {
      environment: world.environment,
      queue: { messages: 10, bytes: 1000 },
      reconnect: { baseMs: 100, capMs: 200 },
      connectTimeoutMs: 1000,
      probeTimeoutMs: 1000,
      inspectFrames: 5,
      fallback: false,
      token: 'secret',
    });
    const states: string[] = [];
    client.onStatus(({ state }: { state: string }) => states.push(state));
    const room = client.room('r', { last: 5, members: true, presence: { name: 'me' } });
    const heard: Record<string, unknown> = {};
    for (const event of Object.keys(EVENTS))
      room.on(event, (value: unknown) => Object.assign(heard, { [event]: value }));
    await world.settle();
    world.socket.open();
    await world.settle();
    world.socket.answer('auth', { user: 'me', expiresAt: null });
    world.socket.receive(['hello', { connection: 'c1', node: 'n1', user: 'me', maxPayload: 65_536 }]);
    await world.settle();
    expect(world.socket.commands('join')[0]?.[3]).toEqual({ last: 5, members: true, data: { name: 'me' } });
    const members = { members: [], count: 1 };
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false, members });
    for (const frames of Object.values(EVENTS)) for (const frame of frames) world.socket.receive(frame);
    room.rejoin();
    await world.settle();
    world.socket.refuse('join', 'forbidden', { retryAfterMs: 5, limit: 'limits.a' });
    expect(Object.keys(heard).sort()).toEqual(Object.keys(EVENTS).sort());
    expect(heard).toMatchObject({
      message: { room: 'r', offset: 1, time: 1, sender: null, data: 'hi' },
      signal: { room: 'r', time: 1, sender: null, data: 'typing' },
      joined: { recovered: false, missed: 0, gap: 0, reset: false },
      member: { change: 'joined', who: ANN, count: 2 },
      gap: { from: 2, to: 3, reason: 'expired' },
      reset: { position: ['f', 0] },
      removed: { reason: 'rude' },
      refused: { name: 'RefusedError', code: 'forbidden', retryAfterMs: 5, limit: 'limits.a' },
    });
    expect(client.status).toEqual({
      state: 'connected',
      transport: 'websocket',
      connection: 'c1',
      node: 'n1',
      user: 'me',
    });
    const page = room.history({ since: ['e', 1], limit: 2 });
    await world.settle();
    world.socket.answer('history', { epoch: 'e', offset: 2, messages: [['message', 'r', 2, 3, 'ann', 'x']] });
    expect(await page).toEqual({
      position: ['e', 2],
      messages: [{ room: 'r', offset: 2, time: 3, sender: 'ann', data: 'x' }],
    });
    expect(client.inspect().at(-2)).toMatchObject({
      direction: 'sent',
      atMs: expect.any(Number),
      frame: ['history', 4, 'r', { since: ['e', 1], limit: 2 }],
    });
    expect(room.signal('x', { echo: true })).toBe('sent');
    client.close();
    expect(states).toEqual(['connecting', 'connected', 'closed']);
    expect([world.scheduler.timers, world.page.watchers]).toEqual([0, 0]);
  });
});

describe.each(FILES)('%s', (file) => {
  it('works with the storage of the package', async () => {
    const { RoomcastClient } = await load(file);
    let kept: StoredState | null = null;
    const storage = keepIn({
      load: () => kept,
      save(state) {
        kept = structuredClone(state);
      },
    });
    const world = new World();
    const options = { environment: world.environment, storage, fallback: false };
    const before = new RoomcastClient('ws://node.test', options);
    before.room('r', { since: ['e', 4] });
    before.publish('r', 'waits').catch(() => undefined);
    await world.settle();
    await world.pass(200);
    expect(kept).toMatchObject({ queue: [{ room: 'r', doubtfulSinceMs: null }], positions: { r: ['e', 4] } });
    const after = new RoomcastClient('ws://node.test', options);
    await world.settle();
    expect(after.pending).toBe(1);
    for (const client of [before, after]) client.close();
  });

  it('says what is wrong, by classes that have their names', async () => {
    const built = await load(file);
    const names = Object.keys(built).filter((name) => /Error$|^Unauthorized$/.test(name));
    expect(names).toHaveLength(8);
    for (const name of names) expect(new built[name]('why').name).toBe(name);
    expect(() => new built.RoomcastClient('ftp://node.test')).toThrow('not a WebSocket URL');
    const misspelt = () => new built.RoomcastClient('ws://node.test', { onerror: 1 });
    // The smallest file leaves that to the others.
    if (file === 'client.js') expect(misspelt).toThrow('unknown option "onerror": did you mean onError');
    else expect(misspelt).not.toThrow();
  });
});
