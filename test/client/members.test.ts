import { describe, expect, it } from 'vitest';
import type { MemberList } from '../../src/client/member-list.ts';
import { World } from './world.ts';

const who = (connection: string, data?: unknown) => ({
  connection,
  user: connection,
  ...(data === undefined ? {} : { data }),
});

async function watched(world: World) {
  const client = await world.connected();
  const room = client.room<unknown, unknown, string>('r', { members: true, presence: 'me' });
  const lists: MemberList<string>[] = [];
  room.on('members', (list) => lists.push(list));
  await world.settle();
  return { room, lists };
}

const names = (list: MemberList) => list.members.map(({ connection }) => connection);

describe('the live list of members', () => {
  it('begins with the snapshot of the join, and follows what comes after it', async () => {
    const world = new World();
    const { room, lists } = await watched(world);
    expect(world.socket.commands('join')).toEqual([['join', 1, 'r', { members: true, data: 'me' }]]);
    world.socket.receive(
      [
        'ok',
        1,
        {
          epoch: 'e',
          offset: 0,
          recovered: false,
          members: { count: 2, users: 2, members: [who('a'), who('b')] },
        },
      ],
      ['member', 'r', 'joined', who('c'), 3],
      ['member', 'r', 'left', who('a'), 2],
      ['presence', 'r', who('b', 'busy')],
    );
    expect(lists.map(names)).toEqual([
      ['a', 'b'],
      ['a', 'b', 'c'],
      ['b', 'c'],
      ['b', 'c'],
    ]);
    expect(room.members).toEqual({ members: [who('b', 'busy'), who('c')], count: 2, partial: false });
    expect(room.members).toBe(lists.at(-1));
  });

  it('does not list one twice who joins again', async () => {
    const world = new World();
    const { room } = await watched(world);
    world.socket.answer('join', {
      epoch: 'e',
      offset: 0,
      recovered: false,
      members: { count: 1, users: 1, members: [who('a')] },
    });
    world.socket.receive(['member', 'r', 'joined', who('a', 'new'), 1]);
    expect(room.members.members).toEqual([who('a', 'new')]);
  });

  it('is partial in large rooms, from the start or once one event sums up many', async () => {
    const world = new World();
    const { room } = await watched(world);
    world.socket.answer('join', {
      epoch: 'e',
      offset: 0,
      recovered: false,
      members: { count: 5000, users: 4000, members: [], partial: true },
    });
    expect(room.members).toEqual({ members: [], count: 5000, partial: true });
    const events: unknown[] = [];
    room.on('member', (event) => events.push(event));
    world.socket.receive(['member', 'r', 'joined', null, 5001]);
    expect(room.members).toEqual({ members: [], count: 5001, partial: true });
    expect(events).toEqual([{ change: 'joined', who: null, count: 5001 }]);
  });

  it('is what the node says when it has become another', async () => {
    const world = new World();
    const { room, lists } = await watched(world);
    world.socket.answer('join', {
      epoch: 'e',
      offset: 0,
      recovered: false,
      members: { count: 300, users: 300, members: [], partial: true },
    });
    world.socket.receive(
      ['members', 'r', { count: 2, users: 2, members: [who('a'), who('b')] }],
      ['presence', 'r', who('c', 'busy')],
      ['member', 'r', 'joined', who('c', 'busy'), 3],
    );
    expect(room.members).toEqual({
      members: [who('a'), who('b'), who('c', 'busy')],
      count: 3,
      partial: false,
    });
    expect(lists.map(names)).toEqual([[], ['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'c']]);
  });

  it('is dropped where the client may no longer know, and asked for again when it may', async () => {
    const world = new World();
    const { room, lists } = await watched(world);
    const members = (...listed: unknown[]) => ({
      count: listed.length,
      users: listed.length,
      members: listed,
    });
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false, members: members(who('a')) });
    world.socket.receive(['members', 'r', { count: 0, users: 0, members: [], partial: true }]);
    expect(room.members).toEqual({ members: [], count: 0, partial: false });
    expect(lists.map(names)).toEqual([['a'], []]);
    expect(world.socket.commands('join')).toHaveLength(1);
    world.socket.receive(['member', 'r', 'joined', who('c'), 3], ['member', 'r', 'joined', who('d'), 4]);
    await world.settle();
    expect(names(room.members)).toEqual([]);
    expect(world.socket.commands('join')).toHaveLength(2);
    world.socket.answer('join', {
      epoch: 'e',
      offset: 0,
      recovered: true,
      members: members(who('a'), who('c'), who('d')),
    });
    expect(names(room.members)).toEqual(['a', 'c', 'd']);
  });

  it('costs no membership where the node cannot tell it, since the room is joined again', async () => {
    const world = new World();
    const { room } = await watched(world);
    const nobody = { count: 0, users: 0, members: [], partial: true };
    world.socket.answer('join', { epoch: 'e', offset: 4, recovered: false, members: nobody });
    expect(room.state).toBe('joined');
    world.socket.receive(['member', 'r', 'joined', who('c'), 3]);
    await world.settle();
    world.socket.refuse('join', 'timeout');
    expect(room.state).toBe('joining');
    await world.pass(1_000);
    expect(world.socket.commands('join').slice(2)).toMatchObject([['join', 3, 'r', { since: ['e', 4] }]]);
    world.socket.answer('join', { epoch: 'e', offset: 4, recovered: true });
    expect(room.state).toBe('joined');
  });

  it('ends with the membership where a listener leaves as it hears that the node could not tell it', async () => {
    const world = new World();
    const { room } = await watched(world);
    const nobody = { count: 0, users: 0, members: [], partial: true };
    world.socket.answer('join', { epoch: 'e', offset: 4, recovered: false, members: nobody });
    world.socket.receive(['member', 'r', 'joined', who('c'), 3]);
    await world.settle();
    room.on('state', () => room.leave());
    world.socket.refuse('join', 'timeout');
    expect(room.state).toBe('left');
    await world.pass(1_000);
    expect(room.state).toBe('left');
    expect(world.socket.commands('join')).toHaveLength(2);
  });

  it('is dropped where the room is refused after a reconnect', async () => {
    const world = new World();
    const { room } = await watched(world);
    world.socket.answer('join', {
      epoch: 'e',
      offset: 0,
      recovered: false,
      members: { count: 1, users: 1, members: [who('a')] },
    });
    room.on('refused', () => undefined);
    await world.reconnect();
    // Until the node says otherwise, what was known is the best guess.
    expect(names(room.members)).toEqual(['a']);
    world.socket.refuse('join', 'forbidden');
    expect(room.state).toBe('refused');
    expect(room.members).toEqual({ members: [], count: 0, partial: false });
  });

  it('begins anew with each join', async () => {
    const world = new World();
    const { room } = await watched(world);
    const members = (...listed: unknown[]) => ({
      count: listed.length,
      users: listed.length,
      members: listed,
    });
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false, members: members(who('a')) });
    await world.reconnect();
    expect(world.socket.commands('join')[0]?.[3]).toMatchObject({ members: true, data: 'me' });
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: true, members: members(who('b')) });
    expect(names(room.members)).toEqual(['b']);
  });
});

describe('presence data', () => {
  it('is sent when it changes, and brought along at every join', async () => {
    const world = new World();
    const { room } = await watched(world);
    await room.setPresence('early');
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false });
    await world.settle();
    // It changed while the join was on its way.
    expect(world.socket.commands('presence')).toEqual([['presence', 2, 'r', 'early']]);
    world.socket.answer('presence', {});
    const changed = room.setPresence('away');
    await world.settle();
    expect(world.socket.commands('presence').slice(1)).toEqual([['presence', 3, 'r', 'away']]);
    world.socket.answer('presence', {});
    await changed;
    await world.reconnect();
    expect(world.socket.commands('join')[0]?.[3]).toMatchObject({ data: 'away' });
  });

  it('is not lost with the connection, and tells what the node says against it', async () => {
    const world = new World();
    const { room } = await watched(world);
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false });
    const cut = room.setPresence('away');
    await world.settle();
    await world.reconnect();
    await cut;
    expect(world.socket.commands('join')[0]?.[3]).toMatchObject({ data: 'away' });
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: true });
    const refused = room.setPresence('far too long');
    await world.settle();
    world.socket.refuse('presence', 'payload_too_large');
    await expect(refused).rejects.toThrow('payload_too_large');
  });
});
