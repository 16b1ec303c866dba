/** A connection whose identity is replaced by one that may do less, whatever its memberships are doing. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import type { ServerFrame } from '../../src/protocol/frames.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { waitFor } from '../support/wait.ts';

const OPEN: RoomRule = {
  history: { messages: 2000, ageMs: 60_000 },
  presence: true,
  memberEvents: true,
  join: 'anyone',
  publish: 'anyone',
  acks: false,
  presenceData: true,
  slowReaders: 'resume',
};
const WITH_ACKS: RoomRule = { ...OPEN, acks: true };
const FOR_MEMBERS: RoomRule = { ...OPEN, publish: 'members' };

const ALL = permissionsFrom(undefined);
const LESS = permissionsFrom([{ match: 'kept*', join: true }]);

let local: LocalNode;

beforeEach(async () => {
  local = await LocalNode.start((room) => {
    if (room.startsWith('acks')) return WITH_ACKS;
    return room.startsWith('team') ? FOR_MEMBERS : OPEN;
  });
});

afterEach(() => local.close());

const isRemoved = (room: string) => (frame: ServerFrame) => frame[0] === 'removed' && frame[1] === room;

function has(device: Device, matches: (frame: ServerFrame) => boolean): boolean {
  return device.frames.some(matches);
}

/** The member joins; resolves when it has. */
async function join(device: Device, room: string): Promise<void> {
  device.send(['join', 1, room]);
  await waitFor(() => device.told(1).includes('ok'));
}

describe.each(['msgpack', 'json'] as const)(
  'a %s member of a room that its new token does not grant',
  (encoding) => {
    it('is told, and hears nothing of the room any more', async () => {
      const keeper = local.device('keeper');
      await join(keeper, 'room');
      const ann = local.device('ann', encoding);
      await join(ann, 'room');
      keeper.send(['publish', 2, 'room', 'before']);
      await waitFor(() => ann.told().includes('before'));
      ann.identify('ann', LESS);
      keeper.send(['publish', 3, 'room', 'after']);
      await waitFor(() => keeper.told().includes('after'));
      await waitFor(() => has(ann, isRemoved('room')));
      expect(ann.frames.filter(isRemoved('room'))).toEqual([
        ['removed', 'room', expect.stringMatching(/grant join in "room"/)],
      ]);
      expect(ann.told()).toEqual(['before']);
      expect(ann.connection.rooms).toEqual([]);
      expect([...ann.socket.topics]).toEqual([]);
      await waitFor(() => has(keeper, (frame) => frame[0] === 'member' && frame[2] === 'left'));
      ann.send(['leave', 9, 'room'], ['join', 10, 'room']);
      await waitFor(() => ann.told(9, 10).length === 3);
      expect(ann.frames.filter(([, id]) => id === 9 || id === 10).map((frame) => frame[2])).toEqual([
        'not_joined',
        'forbidden',
      ]);
    });

    it('keeps its place in the other rooms', async () => {
      const ann = local.device('ann', encoding);
      for (const room of ['kept', 'room', 'kept too']) {
        ann.send(['join', 1, room]);
        await waitFor(() => ann.connection.rooms.includes(room));
      }
      await waitFor(() => ann.told(1).length === 3);
      ann.identify('ann', LESS);
      expect(ann.connection.rooms).toEqual(['kept', 'kept too']);
      local.device('keeper').send(['publish', 0, 'kept', 'heard']);
      await waitFor(() => ann.told().includes('heard'));
      expect(ann.frames.filter(([type]) => type === 'removed')).toHaveLength(1);
    });
  },
);

describe('a member that', () => {
  it('is catching up gets no more of it', async () => {
    const keeper = local.device('keeper');
    await join(keeper, 'room');
    // More than one turn feeds, and not at once more than a socket may ask for.
    for (let sent = 0; sent < 1000; ) {
      for (let n = 0; n < 50; n++, sent++) keeper.send(['publish', 0, 'room', 'x'.repeat(2000)]);
      await waitFor(() => keeper.told().length === sent);
    }
    const { epoch } = await local.backplane.read('room', OPEN.history, { limit: 0 });
    const ann = local.device('ann');
    const { socket } = ann;
    const send = socket.send.bind(socket);
    socket.send = (message) => {
      // A peer that does not read: the node stops feeding it.
      socket.buffered += message.length;
      return send(message);
    };
    ann.send(['join', 1, 'room', { since: [epoch, 0] }]);
    await waitFor(() => ann.told().length > 0);
    const fed = ann.told().length;
    ann.identify('ann', LESS);
    socket.buffered = 0;
    local.node.drained(ann.connection);
    keeper.send(['publish', 2, 'room', 'last']);
    await waitFor(() => keeper.told().includes('last'));
    await waitFor(() => has(ann, isRemoved('room')));
    expect(fed).toBeLessThan(1000);
    expect(ann.told()).toHaveLength(fed);
    expect(ann.frames.at(-1)?.[0]).toBe('removed');
    expect(local.node.catchingUp).toBe(0);
  });

  it('is still joining is refused, in a room that is being opened', async () => {
    const ann = local.device('ann');
    ann.send(['join', 1, 'room'], ['publish', 2, 'room', 'own']);
    ann.identify('ann', LESS);
    await waitFor(() => ann.told(2).includes('error'));
    expect(ann.frames).toEqual([
      ['error', 1, 'forbidden', expect.stringMatching(/grant join/)],
      ['removed', 'room', expect.any(String)],
      ['error', 2, 'forbidden', expect.stringMatching(/grant publish/)],
    ]);
    expect(ann.connection.rooms).toEqual([]);
    expect([...ann.socket.topics]).toEqual([]);
  });

  it('is still joining is refused, while it is looked up what its user acknowledged', async () => {
    local.backplane.gate();
    const ann = local.device('ann');
    ann.send(['join', 1, 'acks'], ['publish', 2, 'acks', 'own']);
    await waitFor(() => local.backplane.gates.length === 1);
    ann.identify('ann', LESS);
    local.backplane.gates[0]!.open();
    await waitFor(() => ann.told(2).includes('error'));
    expect(ann.frames.map(([type, id]) => [type, id])).toEqual([
      ['error', 1],
      ['removed', 'acks'],
      ['error', 2],
    ]);
    expect([...ann.socket.topics]).toEqual([]);
  });

  it('may no longer publish is refused at once', async () => {
    const ann = local.device('ann');
    await join(ann, 'team');
    ann.send(['publish', 2, 'team', 'may']);
    await waitFor(() => ann.told(2).includes('ok'));
    ann.identify('ann', permissionsFrom([{ match: 'team', join: true }]));
    ann.send(['publish', 3, 'team', 'may not']);
    ann.identify('ann', permissionsFrom([{ match: 'team', publish: true }]));
    // The right to publish is there; the membership, which the room asks for, is not.
    ann.send(['publish', 4, 'team', 'may not']);
    await waitFor(() => ann.told(4).includes('error'));
    const codes = ann.frames.filter(([, id]) => id === 3 || id === 4).map((frame) => frame[2]);
    expect(codes).toEqual(['forbidden', 'not_joined']);
  });

  it('is in its personal room stays there', async () => {
    const ann = local.device('ann');
    local.node.connected(ann.connection);
    await waitFor(() => ann.socket.topics.size === 1);
    ann.identify('ann', permissionsFrom([]));
    expect(ann.connection.rooms).toEqual(['$user:ann']);
    local.node.server.publish(
      { room: '$user:ann', data: Uint8Array.of(7), key: null },
      { published: () => undefined, failed: () => undefined },
    );
    await waitFor(() => ann.told().includes(7));
    expect(ann.frames.map(([type]) => type)).toEqual(['message']);
  });
});

describe('a publish that waits for a join', () => {
  it('is refused where that fails and the room takes messages of members only', async () => {
    const ann = local.device('ann');
    ann.send(['join', 1, 'team'], ['publish', 2, 'team', 'own'], ['leave', 3, 'team']);
    await waitFor(() => ann.told(2).length > 0);
    const outcomes = ann.frames.map((frame) => [frame[1], frame[0] === 'error' ? frame[2] : 'ok']);
    expect(outcomes.sort()).toEqual([
      [1, 'not_joined'],
      [2, 'not_joined'],
      [3, 'ok'],
    ]);
  });
});

describe('an identity that is new to others', () => {
  it('is seen by them: a user in place of nobody', async () => {
    const nobody = local.device(null);
    await join(nobody, 'room');
    expect((await local.node.server.listMembers('room', { limit: null, after: null })).members).toMatchObject(
      [{ user: null }],
    );
    nobody.identify('ann', ALL);
    expect(await local.node.server.listMembers('room', { limit: null, after: null })).toMatchObject({
      users: 1,
      members: [{ user: 'ann' }],
    });
  });
});
