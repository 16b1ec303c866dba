import { describe, expect, it } from 'vitest';
import { ClosedError, RefusedError, TooSlowError } from '../../src/client/errors.ts';
import { type Frame, World } from './world.ts';

const JOINED = { epoch: 'e', offset: 0, recovered: false };
const message = (offset: number, room = 'r'): Frame => ['message', room, offset, 1, 'ann', `m${offset}`];

describe('two rooms of one name', () => {
  it('share one membership: one join, and leave with the last', async () => {
    const world = new World();
    const client = await world.connected();
    const first = client.room('r');
    const second = client.room('r');
    const seen: string[] = [];
    first.on('message', () => seen.push('first'));
    second.on('message', () => seen.push('second'));
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1));
    first.leave();
    first.leave();
    await world.settle();
    expect(world.socket.commands('leave')).toEqual([]);
    world.socket.receive(message(2));
    expect(seen).toEqual(['first', 'second', 'second']);
    expect([first.state, second.state]).toEqual(['left', 'joined']);
    second.leave();
    await world.settle();
    expect(world.socket.commands('leave')).toEqual([['leave', 2, 'r']]);
    expect(world.socket.commands('join')).toHaveLength(1);
    world.socket.receive(message(3));
    expect(seen).toHaveLength(3);
  });

  it('that are left and asked for in one turn begin anew, in one WebSocket message', async () => {
    const world = new World();
    const client = await world.connected();
    client.room('r').leave();
    const room = client.room('r');
    await world.settle();
    expect(world.socket.messages).toEqual([
      [
        ['join', 1, 'r', {}],
        ['leave', 2, 'r'],
        ['join', 3, 'r', {}],
      ],
    ]);
    world.socket.receive(
      ['error', 1, 'not_joined', 'left before'],
      ['ok', 2, {}],
      ['ok', 3, JOINED],
      message(1),
    );
    expect([room.state, room.position]).toEqual(['joined', ['e', 1]]);
  });

  it('do not hear a membership that is over', async () => {
    const world = new World();
    const client = await world.connected();
    const old = client.room('r');
    await world.settle();
    world.socket.answer('join', JOINED);
    old.leave();
    const seen: unknown[] = [];
    client.room('r').on('message', ({ offset }) => seen.push(offset));
    await world.settle();
    world.socket.receive(message(1));
    world.socket.answer('leave', {});
    world.socket.answer('join', { epoch: 'e', offset: 1, recovered: false });
    world.socket.receive(message(2));
    expect(seen).toEqual([2]);
  });
});

describe('listeners', () => {
  it('are removed by the function that on returns, also twice and during a call', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: string[] = [];
    const listener = () => seen.push('shared');
    room.on('message', listener);
    const off = room.on('message', listener);
    room.on('message', () => {
      offLast();
      off();
      off();
    });
    const offLast = room.on('message', () => seen.push('last'));
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1), message(2));
    expect(seen).toEqual(['shared', 'shared', 'shared']);
  });

  it('that throw are reported, and delivery goes on', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: number[] = [];
    room.on('message', ({ offset }) => {
      throw new Error(`broken by ${offset}`);
    });
    room.on('message', ({ offset }) => seen.push(offset));
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1), message(2));
    expect(seen).toEqual([1, 2]);
    expect(world.errors).toEqual([new Error('broken by 1'), new Error('broken by 2')]);
  });

  it('hear the state of the room as it changes', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: string[] = [];
    room.on('state', (state) => seen.push(state));
    await world.settle();
    world.socket.answer('join', JOINED);
    await world.reconnect();
    client.close();
    expect(seen).toEqual(['catching-up', 'joined', 'waiting', 'joining', 'left']);
  });
});

describe('a room that the node does not let one join', () => {
  it('tells who listens, else onError, and joins again when asked to', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    await world.settle();
    world.socket.refuse('join', 'forbidden');
    expect(room.state).toBe('refused');
    expect(world.errors).toEqual([new RefusedError('forbidden', 'no')]);
    const seen: string[] = [];
    room.on('refused', ({ code }) => seen.push(code));
    room.rejoin();
    await world.settle();
    world.socket.refuse('join', 'forbidden');
    expect(seen).toEqual(['forbidden']);
    expect(world.errors).toHaveLength(1);
    await world.reconnect();
    expect(world.socket.commands('join')).toEqual([]);
  });

  it('tells when the node ends the membership, and hears nothing more', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: unknown[] = [];
    room.on('removed', (removed) => seen.push(removed));
    room.on('message', ({ offset }) => seen.push(offset));
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1), ['removed', 'r', 'permission'], message(2));
    expect(seen).toEqual([1, { reason: 'permission' }]);
    room.rejoin();
    await world.settle();
    expect(world.socket.commands('join').at(-1)).toEqual(['join', 2, 'r', { since: ['e', 1] }]);
  });

  it.each([
    ['removed', (world: World) => world.socket.receive(['removed', 'r', 'spam'])],
    ['refused', (world: World) => world.socket.refuse('join', 'forbidden')],
  ])('goes on from its position when the server puts back whom it %s', async (state, keepOut) => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const seen: unknown[] = [];
    room.on('message', ({ offset }) => seen.push(offset));
    room.on('refused', () => undefined);
    await world.settle();
    world.socket.answer('join', JOINED);
    world.socket.receive(message(1));
    if (state === 'refused') {
      await world.reconnect();
    }
    keepOut(world);
    expect(room.state).toBe(state);
    world.socket.receive(['joined', 'r', { epoch: 'e', offset: 4, recovered: false }], message(5));
    await world.settle();
    expect(world.socket.commands('join').at(-1)?.[3]).toEqual({ since: ['e', 1] });
    world.socket.answer('join', { epoch: 'e', offset: 5, recovered: true });
    world.socket.receive(message(2), message(3), message(4), message(5));
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(room.state).toBe('joined');
  });
});

describe('for await', () => {
  async function joined(buffer?: number) {
    const world = new World();
    const client = await world.connected();
    const room = client.room<string>('r');
    const messages = room.messages(buffer === undefined ? {} : { buffer });
    await world.settle();
    world.socket.answer('join', JOINED);
    return { world, client, room, messages };
  }

  it('gives the messages in order, and ends when the room is left', async () => {
    const { world, room } = await joined();
    const seen: string[] = [];
    const loop = (async () => {
      for await (const { data } of room) {
        seen.push(data);
        if (data === 'm3') room.leave();
      }
    })();
    world.socket.receive(message(1), message(2));
    await world.settle();
    world.socket.receive(message(3));
    await loop;
    expect(seen).toEqual(['m1', 'm2', 'm3']);
  });

  it('may be broken without leaving the room', async () => {
    const { world, room } = await joined();
    world.socket.receive(message(1));
    const loop = (async () => {
      for await (const _ of room) break;
    })();
    world.socket.receive(message(2));
    await loop;
    expect(room.state).toBe('joined');
  });

  it('is bounded: who falls behind gets what was kept, then an error', async () => {
    const { world, messages } = await joined(2);
    world.socket.receive(message(1), message(2), message(3), message(4));
    expect((await messages.next()).value).toMatchObject({ offset: 1 });
    expect((await messages.next()).value).toMatchObject({ offset: 2 });
    await expect(messages.next()).rejects.toThrow(TooSlowError);
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with the client, without an error where the application closed it', async () => {
    const { client, messages } = await joined();
    const next = messages.next();
    client.close();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  it.each([
    ['a removal', (world: World) => world.socket.receive(['removed', 'r', 'permission'])],
    ['a close by the server', (world: World) => world.socket.drop(4503, 'disconnected by the server')],
  ])('throws after %s', async (_what, happen) => {
    const { world, messages } = await joined();
    const next = messages.next();
    happen(world);
    await expect(next).rejects.toThrow(ClosedError);
  });

  it('throws when the node refuses the room', async () => {
    const world = new World();
    const client = await world.connected();
    const next = client.room('r').messages().next();
    await world.settle();
    world.socket.refuse('join', 'forbidden');
    await expect(next).rejects.toThrow(RefusedError);
  });

  it('goes on over a reconnect', async () => {
    const { world, messages } = await joined();
    world.socket.receive(message(1));
    await world.reconnect();
    world.socket.answer('join', { epoch: 'e', offset: 2, recovered: true });
    world.socket.receive(message(1), message(2));
    expect((await messages.next()).value).toMatchObject({ offset: 1 });
    expect((await messages.next()).value).toMatchObject({ offset: 2 });
  });
});

describe('a room that was left', () => {
  it('says so to who uses it', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    room.leave();
    expect(() => room.on('message', () => undefined)).toThrow('the room r was left');
    expect(() => room.messages()).toThrow(ClosedError);
    expect(() => room.rejoin()).toThrow(ClosedError);
  });
});
