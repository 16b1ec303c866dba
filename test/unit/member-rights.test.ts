/** What a member may know and have beside the messages, when it joins and after its token was replaced by one with less. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import type { Right } from '../../src/auth/rights.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import type { JoinResult, MembersResult, ServerFrame } from '../../src/protocol/frames.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { OPEN } from '../support/rules.ts';
import { waitFor } from '../support/wait.ts';

const WITH_ACKS: RoomRule = { ...OPEN, acks: true };

const ALL = permissionsFrom([{ match: '*', join: true, publish: true }]);
const without = (...rights: readonly Right[]) =>
  permissionsFrom([
    { match: '*', join: true, publish: true, ...Object.fromEntries(rights.map((right) => [right, false])) },
  ]);

let local: LocalNode;
let keeper: Device;

beforeEach(async () => {
  local = await LocalNode.start((room) => (room.startsWith('acks') ? WITH_ACKS : OPEN));
  keeper = local.device('keeper');
  await join(keeper, 'room');
});

afterEach(() => local.close());

async function answer<R>(device: Device, id: number): Promise<R> {
  const isIt = (frame: ServerFrame) => (frame[0] === 'ok' || frame[0] === 'error') && frame[1] === id;
  const frame = await waitFor(() => device.frames.find(isIt), { for: `the reply to ${id}` });
  return frame[2] as R;
}

async function join(device: Device, room: string, options: object = {}, id = 1): Promise<JoinResult> {
  device.send(['join', id, room, options]);
  return answer<JoinResult>(device, id);
}

let sent = 0;

/** Says something in a room; resolves when a member has heard it. */
async function say(hearer: Device, room = 'room'): Promise<string> {
  const text = `said ${++sent}`;
  keeper.send(['publish', 0, room, text]);
  await waitFor(() => hearer.told().includes(text));
  return text;
}

function aboutMembers(device: Device): ServerFrame[] {
  return device.frames.filter(([type]) => ['member', 'presence', 'members'].includes(type));
}

function gaps(device: Device): ServerFrame[] {
  return device.frames.filter(([type]) => type === 'gap');
}

/** Somebody comes, changes their data and goes, which `hearer` is told of. */
async function visit(hearer: Device): Promise<void> {
  const before = aboutMembers(hearer).length;
  const visitor = local.device('visitor');
  await join(visitor, 'room', { data: 1 });
  visitor.send(['presence', 2, 'room', 2], ['leave', 3, 'room']);
  await answer(visitor, 3);
  const isLeave = (frame: ServerFrame) => frame[0] === 'member' && frame[2] === 'left';
  await waitFor(() => aboutMembers(hearer).slice(before).some(isLeave));
}

describe.each(['msgpack', 'json'] as const)(
  'a %s member without the right to know the members',
  (encoding) => {
    it('hears the messages, and nothing of the others', async () => {
      const ann = local.device('ann', encoding, without('members'));
      await join(ann, 'room');
      await visit(keeper);
      await say(ann);
      expect(aboutMembers(ann)).toEqual([]);
      ann.send(['members', 2, 'room']);
      expect(await answer(ann, 2)).toBe('forbidden');
      expect(await join(ann, 'room', { members: true }, 3)).toBe('forbidden');
      // Refused, the second join has ended nothing.
      await say(ann);
    });

    it('hears of them as long as its token says so', async () => {
      const ann = local.device('ann', encoding, ALL);
      await join(ann, 'room', { members: true });
      await visit(ann);
      const known = aboutMembers(ann).length;
      ann.identify('ann', without('members'));
      await visit(keeper);
      await say(ann);
      // Her list is taken back, once.
      const taken = ['members', 'room', { count: 0, users: 0, members: [], partial: true }];
      expect(aboutMembers(ann).slice(known)).toEqual([taken]);
      ann.identify('ann', without('members'));
      await say(ann);
      expect(aboutMembers(ann)).toHaveLength(known + 1);
      expect(ann.connection.rooms).toEqual(['room']);
      ann.identify('ann', ALL);
      await visit(ann);
      expect(aboutMembers(ann).length).toBeGreaterThan(known + 1);
    });
  },
);

it('counts what is told of members only for those who hear it', async () => {
  const ann = local.device('ann', 'msgpack', without('members'));
  await join(ann, 'room');
  await say(ann);
  const { traffic } = local.metrics;
  const before = traffic.messagesSent;
  const heard = keeper.socket.sent.length;
  const ben = local.device('ben', 'msgpack', without('members'));
  await join(ben, 'room');
  await waitFor(() => keeper.socket.sent.length > heard);
  expect(traffic.messagesSent - before).toBe(keeper.socket.sent.length - heard);
});

describe('a member that may not read the history', () => {
  it('is told of a gap in place of what it missed, and hears what follows', async () => {
    for (let n = 0; n < 5; n++) await say(keeper);
    const { epoch } = await local.backplane.read('room', OPEN.history, { limit: 0 });
    for (const [id, since, from] of [
      [1, [epoch, 2], 3],
      [2, ['', 0], 1],
      [3, [epoch, 0], 1],
    ] as const) {
      const ann = local.device('ann', 'msgpack', without('history'));
      expect(await join(ann, 'room', { since }, id)).toMatchObject({ offset: 5, recovered: false });
      expect(gaps(ann)).toEqual([['gap', 'room', from, 5, 'forbidden']]);
    }
    const ann = local.device('ann', 'msgpack', without('history'));
    await join(ann, 'room', { since: [epoch, 5] });
    const heard = await say(ann);
    expect(ann.told()).toEqual([heard]);
    expect(gaps(ann)).toEqual([]);
  });

  it('is told of a numbering that is over, and of nothing in the new one', async () => {
    for (let n = 0; n < 3; n++) await say(keeper);
    const ann = local.device('ann', 'msgpack', without('history'));
    const { epoch } = await join(ann, 'room', { since: ['over0001', 2] });
    await waitFor(() => gaps(ann).length > 0);
    expect(ann.frames.filter(([type]) => type !== 'member')).toEqual([
      ['ok', 1, expect.objectContaining({ recovered: false })],
      ['reset', 'room', epoch, 0],
      ['gap', 'room', 1, 3, 'forbidden'],
    ]);
    const heard = await say(ann);
    expect(ann.told()).toEqual([heard]);
  });

  it('is refused where it asks for stored messages', async () => {
    const ann = local.device('ann', 'msgpack', without('history'));
    expect(await join(ann, 'room', { last: 1 }, 1)).toBe('forbidden');
    ann.send(['history', 2, 'room']);
    expect(await answer(ann, 2)).toBe('forbidden');
    expect(await join(ann, 'room', { last: 0 }, 3)).toMatchObject({ recovered: false });
    expect(ann.told()).toEqual([]);
  });

  it('gets what was said while it was there, however slowly it reads', async () => {
    const ann = local.device('ann', 'msgpack', without('history'));
    await join(ann, 'room');
    ann.socket.buffered = 10_000_000;
    local.node.stalled(ann.connection);
    await waitFor(() => ann.socket.topics.size === 0);
    const missed = await say(keeper);
    ann.identify('ann', without('history', 'members'));
    ann.socket.buffered = 0;
    local.node.drained(ann.connection);
    await waitFor(() => ann.told().includes(missed));
    expect(gaps(ann)).toEqual([]);
  });

  it('loses the rest of a replay with the right, and stays', async () => {
    for (let n = 0; n < 10; n++) keeper.send(['publish', 0, 'room', 'x'.repeat(60_000)]);
    await waitFor(() => keeper.told().length === 10);
    const { epoch } = await local.backplane.read('room', OPEN.history, { limit: 0 });
    const ann = local.device('ann', 'msgpack', ALL);
    const { socket } = ann;
    const send = socket.send.bind(socket);
    // A peer that does not read: the node stops feeding it.
    socket.send = (message) => {
      socket.buffered += message.length;
      return send(message);
    };
    ann.send(['join', 1, 'room', { since: [epoch, 0] }]);
    await waitFor(() => ann.told().length > 0);
    const fed = ann.told().length;
    ann.identify('ann', without('history'));
    socket.send = send;
    socket.buffered = 0;
    local.node.drained(ann.connection);
    await waitFor(() => gaps(ann).length > 0);
    expect(fed).toBeLessThan(10);
    expect(ann.told()).toHaveLength(fed);
    expect(gaps(ann)).toEqual([['gap', 'room', fed + 1, 10, 'forbidden']]);
    await say(ann);
    expect(local.node.catchingUp).toBe(0);
  });
});

describe('a member that may no longer bring data', () => {
  it('has none any more, and the others are told', async () => {
    const ann = local.device('ann', 'msgpack', ALL);
    await join(ann, 'room', { data: 'here' });
    const who = { connection: ann.connection.id, user: 'ann' };
    const isIn = ({ members }: MembersResult, entry: object) =>
      members.some((member) => JSON.stringify(member) === JSON.stringify(entry));
    const list = () => local.node.server.listMembers('room', { limit: null, after: null });
    expect(isIn(await list(), { ...who, data: 'here' })).toBe(true);
    ann.identify('ann', without('presence'));
    await waitFor(() => keeper.frames.some((frame) => frame[0] === 'presence'));
    expect(keeper.frames.find((frame) => frame[0] === 'presence')).toEqual(['presence', 'room', who]);
    expect(isIn(await list(), who)).toBe(true);
    ann.send(['presence', 2, 'room', 'again']);
    expect(await answer(ann, 2)).toBe('forbidden');
    expect(await join(ann, 'room', { data: 'again' }, 3)).toBe('forbidden');
  });
});

describe('a join that waits', () => {
  it.each([
    ['members', { members: true }],
    ['history', { last: 5 }],
    ['ack', { resume: true }],
    ['presence', { data: 1 }],
  ] as const)('is refused when its user loses the right to %s, which it needs', async (right, options) => {
    local.backplane.gate();
    const ann = local.device('ann', 'msgpack', ALL);
    ann.send(['join', 1, 'acks', options]);
    await waitFor(() => local.backplane.gates.length === 1);
    ann.identify('ann', without(right));
    local.backplane.gates[0]!.open();
    expect(await answer(ann, 1)).toBe('forbidden');
    expect(ann.frames.map(([type]) => type)).toEqual(['error', 'removed']);
    expect(ann.connection.rooms).toEqual([]);
    expect([...ann.socket.topics]).toEqual([]);
  });

  it('goes on when its user loses a right that it does not need', async () => {
    local.backplane.gate();
    const ann = local.device('ann', 'msgpack', ALL);
    ann.send(['join', 1, 'acks']);
    await waitFor(() => local.backplane.gates.length === 1);
    ann.identify('ann', without('members', 'history', 'presence'));
    local.backplane.gates[0]!.open();
    expect(await answer(ann, 1)).toMatchObject({ acked: null });
  });
});

describe('a user without the right to acknowledge', () => {
  it('is not told what it has acknowledged, and may not go on from there', async () => {
    const ann = local.device('ann', 'msgpack', without('ack'));
    expect(await join(ann, 'acks')).not.toHaveProperty('acked');
    expect(await join(ann, 'acks', { resume: true }, 2)).toBe('forbidden');
    ann.send(['ack', 3, 'acks', ['abcdefgh', 0]]);
    expect(await answer(ann, 3)).toBe('forbidden');
    await local.node.server.addToRoom('acks too', 'ann');
    const placed = await waitFor(() => ann.frames.find((frame) => frame[0] === 'joined'));
    expect(placed[2]).not.toHaveProperty('acked');
  });
});

describe('a read that waits', () => {
  it.each(['history', 'members'] as const)('of %s is refused when the right is gone', async (type) => {
    const ann = local.device('ann', 'msgpack', ALL);
    ann.send([type, 1, 'room']);
    ann.identify('ann', without(type));
    expect(await answer(ann, 1)).toBe('forbidden');
  });

  it('is refused when the server keeps the user out meanwhile, and says for how long', async () => {
    const ann = local.device('ann', 'msgpack', ALL);
    const { backplane, node } = local;
    const read = backplane.read.bind(backplane);
    backplane.read = async (...args) => {
      const page = await read(...args);
      await node.server.removeFromRoom('room', 'ann', { reason: '', forMs: 60_000 });
      await waitFor(() => node.keptOut.leftMs('ann', 'room') > 0);
      return page;
    };
    ann.send(['history', 1, 'room']);
    await answer(ann, 1);
    expect(ann.frames.at(-1)).toEqual([
      ...['error', 1, 'forbidden', expect.stringContaining('keeps you out')],
      { retryAfterMs: expect.any(Number) },
    ]);
  });
});
