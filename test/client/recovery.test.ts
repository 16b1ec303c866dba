import { describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import type { Room } from '../../src/client/room.ts';
import type { RoomOptions } from '../../src/client/room-events.ts';
import { type Frame, World } from './world.ts';

/** Writes down what a room tells, in order. */
function watch(room: Room): unknown[] {
  const seen: unknown[] = [];
  room.on('message', ({ offset, data }) => seen.push([offset, data]));
  room.on('gap', ({ from, to, reason }) => seen.push(['gap', from, to, reason]));
  room.on('reset', ({ position }) => seen.push(['reset', position]));
  room.on('joined', (joined) => seen.push(joined));
  return seen;
}

const message = (offset: number, data: unknown = `m${offset}`): Frame => [
  'message',
  'r',
  offset,
  1_700_000_000_000,
  'ann',
  data,
];

async function joining(world: World, client: BaseClient, options: RoomOptions = {}) {
  const room = client.room('r', options);
  const seen = watch(room);
  await world.settle();
  return { room, seen };
}

describe('a first join', () => {
  it('takes its place from the reply, and hears what follows in the same WebSocket message', async () => {
    const world = new World();
    const { room, seen } = await joining(world, await world.connected());
    expect(room.position).toBeNull();
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 4, recovered: false }], message(5));
    expect(room.position).toEqual(['e', 5]);
    expect(seen).toEqual([{ recovered: false, missed: 0, gap: 0, reset: false }, [5, 'm5']]);
  });

  it('with last replays, and says how many came before it was live', async () => {
    const world = new World();
    const { room, seen } = await joining(world, await world.connected(), { last: 2 });
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 4, recovered: false, from: 2 }],
      message(3),
      message(4),
      message(5),
    );
    expect(seen).toEqual([
      [3, 'm3'],
      [4, 'm4'],
      { recovered: false, missed: 2, gap: 0, reset: false },
      [5, 'm5'],
    ]);
    expect(room.state).toBe('joined');
  });

  it('that was cut in the middle of the replay goes on from there', async () => {
    const world = new World();
    await joining(world, await world.connected(), { last: 3 });
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 4, recovered: false, from: 1 }], message(2));
    await world.reconnect();
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 2] }]]);
  });

  it('with since and last asks for both again until something came', async () => {
    const world = new World();
    await joining(world, await world.connected(), { since: ['e', 2], last: 5 });
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 2], last: 5 }]]);
    await world.reconnect();
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 2], last: 5 }]]);
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 20, recovered: false, from: 15 }],
      ['gap', 'r', 3, 15, 'limited'],
    );
    await world.reconnect();
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 15] }]]);
  });

  it('from a position with offset 0 takes the epoch of the reply', async () => {
    const world = new World();
    const { room, seen } = await joining(world, await world.connected(), { since: ['', 0] });
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 1, recovered: true }], message(1));
    expect(room.position).toEqual(['e', 1]);
    expect(seen).toEqual([[1, 'm1'], { recovered: true, missed: 1, gap: 0, reset: false }]);
  });

  it('in a room without history has no position, and delivers everything', async () => {
    const world = new World();
    const { room, seen } = await joining(world, await world.connected(), { last: 10 });
    world.socket.receive(
      ['ok', 1, { epoch: '', offset: 0, recovered: false, from: 0 }],
      message(0, 'a'),
      message(0, 'b'),
    );
    expect(room.position).toBeNull();
    expect(seen).toEqual([{ recovered: false, missed: 0, gap: 0, reset: false }, [0, 'a'], [0, 'b']]);
  });
});

describe('a join after a reconnect', () => {
  async function returned(world: World) {
    const client = await world.connected();
    const { room, seen } = await joining(world, client);
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 4, recovered: false }], message(5));
    await world.reconnect();
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { since: ['e', 5] }]]);
    seen.splice(0);
    return { client, room, seen };
  }

  it('tells how many messages were missed, once they are here', async () => {
    const world = new World();
    const { room, seen } = await returned(world);
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 8, recovered: true }]);
    expect(room.state).toBe('catching-up');
    world.socket.receive(message(6), message(7));
    world.socket.receive(message(8), message(9));
    expect(seen).toEqual([
      [6, 'm6'],
      [7, 'm7'],
      [8, 'm8'],
      { recovered: true, missed: 3, gap: 0, reset: false },
      [9, 'm9'],
    ]);
  });

  it('tells at once where nothing was missed', async () => {
    const world = new World();
    const { seen } = await returned(world);
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 5, recovered: true }]);
    expect(seen).toEqual([{ recovered: true, missed: 0, gap: 0, reset: false }]);
  });

  it('drops what comes twice, by its offset', async () => {
    const world = new World();
    const { seen } = await returned(world);
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 6, recovered: true }], message(4), message(5));
    world.socket.receive(message(6), message(6));
    expect(seen.filter((event) => Array.isArray(event))).toEqual([[6, 'm6']]);
  });

  it('is told of no gap in what it has, as a join in place may bring again, conflated', async () => {
    const world = new World();
    const { room, seen } = await returned(world);
    world.socket.receive(['ok', 1, { epoch: 'e', offset: 6, recovered: true }], message(6));
    world.socket.receive(['gap', 'r', 4, 6, 'replaced'], ['gap', 'r', 6, 8, 'expired'], message(9));
    expect(seen.filter((event) => Array.isArray(event))).toEqual([
      [6, 'm6'],
      ['gap', 7, 8, 'expired'],
      [9, 'm9'],
    ]);
    expect(room.position).toEqual(['e', 9]);
  });

  it('counts what is lost, and only that', async () => {
    const world = new World();
    const { room, seen } = await returned(world);
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 30, recovered: false }],
      ['gap', 'r', 6, 15],
      ['gap', 'r', 16, 20, 'limited'],
      ['gap', 'r', 21, 29, 'replaced'],
      message(30),
    );
    expect(seen).toEqual([
      ['gap', 6, 15, 'expired'],
      ['gap', 16, 20, 'limited'],
      ['gap', 21, 29, 'replaced'],
      [30, 'm30'],
      { recovered: false, missed: 1, gap: 10, reset: false },
    ]);
    expect(room.position).toEqual(['e', 30]);
  });

  it('is done with a gap that reaches to where the room stands', async () => {
    const world = new World();
    const { room } = await returned(world);
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 9, recovered: false }],
      ['gap', 'r', 6, 9, 'expired'],
    );
    expect(room.state).toBe('joined');
  });

  it('goes on in the new epoch after reset, with lower offsets', async () => {
    const world = new World();
    const { room, seen } = await returned(world);
    world.socket.receive(['ok', 1, { epoch: 'f', offset: 2, recovered: false }]);
    expect(room.state).toBe('catching-up');
    world.socket.receive(['reset', 'r', 'f', 0], message(1), message(2), message(3));
    expect(seen).toEqual([
      ['reset', ['f', 0]],
      [1, 'm1'],
      [2, 'm2'],
      { recovered: false, missed: 2, gap: 0, reset: true },
      [3, 'm3'],
    ]);
    expect(room.position).toEqual(['f', 3]);
  });

  it('takes a reset in the middle of a connection', async () => {
    const world = new World();
    const { room, seen } = await returned(world);
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 5, recovered: true }],
      ['reset', 'r', 'g', 5],
      message(6),
    );
    expect(seen.slice(1)).toEqual([
      ['reset', ['g', 5]],
      [6, 'm6'],
    ]);
    expect(room.position).toEqual(['g', 6]);
  });

  it('is tried again after a refusal that passes, and not after others', async () => {
    const world = new World();
    const { room } = await returned(world);
    world.socket.refuse('join', 'rate_limited', { retryAfterMs: 3000 });
    await world.pass(2900);
    expect(world.socket.commands('join')).toHaveLength(1);
    await world.pass(400);
    expect(world.socket.commands('join')).toHaveLength(2);
    world.socket.refuse('join', 'unavailable');
    await world.pass(1000);
    expect(world.socket.commands('join')).toHaveLength(3);
    world.socket.refuse('join', 'forbidden');
    await world.pass(20_000);
    expect(world.socket.commands('join')).toHaveLength(3);
    expect(room.state).toBe('refused');
  });
});
