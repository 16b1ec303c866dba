/** Who is in a room and what they say about themselves, as clients of a real broker see it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import { RoomcastClient } from '../../src/client/index.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json.ts';
import type { MemberList, PresentMember } from '../../src/client/member-list.ts';
import type { Room } from '../../src/client/room.ts';
import { startTestBroker, type TestBroker, type TestDevice } from '../../src/testing/index.ts';
import { Random } from '../support/random.ts';

const DETAILED = 5;

let broker: TestBroker;
const clients: BaseClient[] = [];
const errors: unknown[] = [];

beforeEach(async () => {
  broker = await startTestBroker({
    time: 'manual',
    limits: { commandsPerSecond: 0 },
    rooms: [
      { match: 'quiet:*', memberEvents: false },
      { match: '*', memberEvents: true },
    ],
    presence: { detailedMembers: DETAILED },
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  expect(errors.splice(0)).toEqual([]);
  await broker.stop();
});

function connect(
  user: string,
  Client: typeof RoomcastClient = RoomcastClient,
  device: TestDevice = broker.device(),
): BaseClient {
  const client = new Client(broker.url, {
    WebSocket: device.WebSocket,
    scheduler: broker.clock,
    getToken: () => broker.token({ user }),
    onError: (error) => errors.push(error),
  });
  clients.push(client);
  return client;
}

const said = ({ members }: MemberList) => members.map(({ user, data }) => [user, data]);
/** By connection, as far as the order depends on the node that tells it. */
const sorted = (members: readonly PresentMember[]) =>
  members.toSorted((a, b) => a.connection.localeCompare(b.connection));

/** The changes of presence data that a node still holds back. */
const told = () => broker.clock.advance(1_000);

describe.each([
  ['MessagePack', RoomcastClient],
  ['JSON', JsonClient as unknown as typeof RoomcastClient],
])('presence in %s', (_name, Client) => {
  it('is a list that begins with the join and follows who comes, changes and leaves', async () => {
    const ann = connect('ann', Client).room<unknown, unknown, object>('r', {
      members: true,
      presence: { name: 'Ann' },
    });
    await told();
    expect(said(ann.members)).toEqual([['ann', { name: 'Ann' }]]);
    const changes: unknown[] = [];
    ann.on('presence', ({ user, data }) => changes.push([user, data]));
    const bob = connect('bob', Client);
    const room = bob.room<unknown, unknown, object>('r', { members: true, presence: { name: 'Bob' } });
    await told();
    const both = [
      ['ann', { name: 'Ann' }],
      ['bob', { name: 'Bob' }],
    ];
    expect([said(ann.members), said(room.members)]).toEqual([both, both]);
    void room.setPresence({ name: 'Bob', busy: true });
    await told();
    expect(said(ann.members)[1]).toEqual(['bob', { name: 'Bob', busy: true }]);
    void room.setPresence(null);
    await told();
    expect(said(ann.members)[1]).toEqual(['bob', undefined]);
    expect(changes).toEqual([
      ['bob', { name: 'Bob', busy: true }],
      ['bob', undefined],
    ]);
    bob.close();
    await told();
    expect(ann.members).toMatchObject({ count: 1, partial: false, members: [{ user: 'ann' }] });
  });

  it('says why the node ended a membership, and lists nobody then', async () => {
    const tokens = ['*', 'other'];
    const client = new Client(broker.url, {
      WebSocket: broker.WebSocket,
      scheduler: broker.clock,
      getToken: () =>
        broker.token({ user: 'ann', rooms: [{ match: tokens.shift()!, join: true }], expiresInMs: 60_000 }),
    });
    clients.push(client);
    const room = client.room('r', { members: true });
    await told();
    expect(room.members.count).toBe(1);
    const reasons: string[] = [];
    room.on('removed', ({ reason }) => reasons.push(reason));
    await broker.clock.advance(50_000);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(/token/);
    expect([room.state, room.members.count]).toEqual(['removed', 0]);
  });
});

describe('the list of members', () => {
  it('is partial in a large room, whole again in a small one, and can be paged meanwhile', async () => {
    const room = connect('first').room('r', { members: true });
    await told();
    const others = Array.from({ length: DETAILED + 2 }, (_, n) => connect(`user${n}`));
    for (const client of others) client.room('r');
    await told();
    expect(room.members).toEqual({ members: [], count: DETAILED + 3, partial: true });
    const late = connect('late').room('r', { members: true });
    await told();
    expect(late.members).toEqual({ members: [], count: DETAILED + 4, partial: true });

    const listed: PresentMember[] = [];
    let after: string | undefined;
    do {
      const asked = room.listMembers({ limit: 3, ...(after !== undefined && { after }) });
      await broker.settled();
      const page = await asked;
      expect(page.members.length).toBeLessThanOrEqual(3);
      listed.push(...page.members);
      after = page.next;
    } while (after !== undefined);
    expect(new Set(listed.map(({ user }) => user)).size).toBe(DETAILED + 4);

    for (const client of others) client.close();
    await told();
    expect(sorted(room.members.members)).toEqual(sorted((await broker.members('r')).members));
    expect(room.members).toMatchObject({ count: 2, partial: false });
  });

  it.each([
    ['comes back', DETAILED + 2, 0],
    ['comes back while others are gone, and the room small,', DETAILED + 2, 2],
  ])('is right for who %s before a large room is told of the changes', async (_what, size, away) => {
    const all = Array.from({ length: size }, (_, i) => connect(`user-${i}`));
    const rooms = all.map((client) => client.room('r', { members: true }));
    await told();
    await told();
    const [ann, ...others] = all;
    for (const room of rooms.slice(0, away + 1)) room.leave();
    await broker.clock.advance(10);
    const back = ann!.room('r', { members: true });
    await broker.clock.advance(10);
    for (const client of others.slice(0, away)) client.room('r', { members: true });
    await broker.clock.advance(10);
    await told();
    await told();
    expect(back.members).toEqual({ members: [], count: size, partial: true });
  });

  it('is right for who asks while a large room becomes small, before it is told so', async () => {
    const all = Array.from({ length: DETAILED + 2 }, (_, i) => connect(`user-${i}`));
    const [ann, ...others] = all.slice(0, -1).map((client) => client.room('r'));
    await told();
    await told();
    all.at(-1)!.room('r');
    await broker.clock.advance(10);
    for (const room of others.slice(0, 2)) room.leave();
    await broker.clock.advance(10);
    const list = all[0]!.room('r', { members: true });
    await broker.clock.advance(10);
    expect(list.members).toMatchObject({ count: DETAILED, partial: false });
    await told();
    await told();
    expect(sorted(ann!.members.members)).toEqual(sorted((await broker.members('r')).members));
    expect(list.members).toMatchObject({ count: DETAILED, partial: false });
  });

  it('is kept for a second user of a room that was joined without it, and no message is missed or doubled', async () => {
    const client = connect('ann');
    const plain = client.room<number>('r');
    const heard: number[] = [];
    plain.on('message', ({ data }) => heard.push(data));
    await told();
    void client.publish('r', 1);
    const watching = client.room('r', { members: true });
    void client.publish('r', 2);
    await told();
    expect(heard).toEqual([1, 2]);
    expect(watching.members.members.map(({ user }) => user)).toEqual(['ann']);
    expect(plain.members).toBe(watching.members);
    connect('bob').room('r');
    await told();
    expect(watching.members.count).toBe(2);
  });

  it('is kept for a second user who asks while the room is being joined', async () => {
    const client = connect('ann');
    client.connect();
    await told();
    client.room('r');
    const watching = client.room('r', { members: true });
    await told();
    expect(watching.members.members.map(({ user }) => user)).toEqual(['ann']);
  });

  it('is as old as the join where the room has no member events', async () => {
    const room = connect('ann').room('quiet:1', { members: true });
    await told();
    connect('bob').room('quiet:1');
    await told();
    expect(room.members.count).toBe(1);
  });

  it('is not kept where nobody asked for it', async () => {
    const room = connect('ann').room('r');
    await told();
    connect('bob').room('r');
    await told();
    expect(room.members).toEqual({ members: [], count: 0, partial: false });
  });

  it('has what was set while the join was on its way', async () => {
    const client = connect('ann');
    client.connect();
    await told();
    const room = client.room<unknown, unknown, string>('r', { members: true, presence: 'early' });
    await room.setPresence('later');
    await told();
    expect(said(room.members)).toEqual([['ann', 'later']]);
  });

  it('agrees with the node after members came, changed, were cut and left in any order', async () => {
    const dice = new Random(20_261);
    const names = Array.from({ length: 9 }, (_, n) => `user${n}`);
    const devices = new Map(names.map((name) => [name, broker.device()]));
    const present = new Map<string, { client: BaseClient; room: Room<unknown, unknown, number> }>();
    const watchers = ['watcher0', 'watcher1'].map((user) => connect(user).room('r', { members: true }));
    await told();
    for (let step = 0; step < 400; step++) {
      const name = dice.pick(names);
      const one = present.get(name);
      const chance = dice.next();
      if (one === undefined) {
        const client = connect(name, dice.pick([RoomcastClient, JsonClient]) as never, devices.get(name));
        present.set(name, { client, room: client.room('r', { presence: step }) });
      } else if (chance < 0.4) void one.room.setPresence(step);
      else if (chance < 0.65) broker.cut(devices.get(name));
      else {
        one.client.close();
        present.delete(name);
      }
      if (dice.next() < 0.3) await broker.clock.advance(dice.whole(0, 300));
    }
    await broker.clock.advance(60_000);
    // Few enough to be named again.
    for (const [name, { client }] of [...present].slice(2)) {
      client.close();
      present.delete(name);
    }
    await told();
    const { members } = await broker.members('r');
    expect(members).toHaveLength(present.size + 2);
    for (const { members: list } of watchers) {
      expect(list).toMatchObject({ count: members.length, partial: false });
      expect(sorted(list.members)).toEqual(sorted(members));
    }
  });
});

describe('errors', () => {
  it('that the client recovers from are told to nobody: an expired token', async () => {
    const client = connect('ann');
    const room = client.room('r');
    await told();
    broker.expireToken('ann');
    await broker.clock.advance(30_000);
    expect(client.status.state).toBe('connected');
    expect(room.state).toBe('joined');
    expect(errors).toEqual([]);
  });
});
