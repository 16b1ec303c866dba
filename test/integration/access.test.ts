/** Who may do what, on a real node: every command and every room is asked. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HistoryResult, MembersResult } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { TestClient } from '../support/client.ts';
import { EventReader, type StreamRefused } from '../support/events.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SECRET, token } from '../support/tokens.ts';

const API_KEY = 'a-key-of-the-tests';
const ROOMS = [
  { match: 'closed:*', join: 'nobody', acks: true },
  { match: 'users:*', join: 'authenticated', acks: true },
  { match: 'news:*', publish: 'server' },
  { match: 'team:*', publish: 'members' },
  { match: 'open:*', acks: true },
  {
    ...{ match: 'stage:*', memberEvents: true, acks: true },
    access: { members: 'claim', history: 'claim', ack: 'claim', presence: 'claim' },
  },
];

let node: NodeProcess;
const clients: TestClient[] = [];

beforeAll(async () => {
  node = await NodeProcess.start({
    env: {
      ROOMCAST_AUTH_SECRET: SECRET,
      ROOMCAST_AUTH_ANONYMOUS: 'true',
      ROOMCAST_WEBSOCKET_AUTH_TIMEOUT_MS: '100',
      ROOMCAST_API_KEYS: API_KEY,
      ROOMCAST_ROOMS: JSON.stringify(ROOMS),
    },
  });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(() => node.stop());

async function connect(encoding: Encoding = 'msgpack', text?: string): Promise<TestClient> {
  const options = text === undefined ? { encoding } : { encoding, token: text };
  const client = await TestClient.connect(node.wsUrl, options);
  clients.push(client);
  return client;
}

async function connectAs(user: string, rooms?: unknown, encoding: Encoding = 'msgpack'): Promise<TestClient> {
  return connect(encoding, await token({ sub: user, ...(rooms === undefined ? {} : { rooms }) }));
}

/** What each command is answered in a room: `ok` or the code. */
async function verdicts(client: TestClient, room: string): Promise<Record<string, string>> {
  const answers: Record<string, string> = {};
  for (const [type, ...fields] of [
    ['members'],
    ['history'],
    ['ack', ['abcdefgh', 0]],
    ['publish', 'x'],
    ['join'],
    ['leave'],
  ] as const) {
    const reply = await client.request(type, room, ...fields);
    answers[type] = reply[0] === 'ok' ? 'ok' : (reply[2] as string);
  }
  return answers;
}

const NOTHING = Object.fromEntries(
  ['members', 'history', 'ack', 'publish', 'join', 'leave'].map((type) => [type, 'forbidden']),
);

function api(path: string, body?: unknown): Promise<Response> {
  return fetch(node.url + path, {
    headers: { Authorization: `Bearer ${API_KEY}` },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
}

describe.each(['msgpack', 'json'] as const)('a %s client', (encoding) => {
  it('reads the personal room of nobody but itself', async () => {
    await api('/v1/publish', { room: '$user:bob', data: 'a secret of bob' });
    const bob = await connectAs('bob', [], encoding);
    const own = await bob.ok<HistoryResult>('history', '$user:bob');
    expect(own.messages.map((frame) => frame[5])).toContain('a secret of bob');
    const owner = { ...NOTHING, members: 'ok', history: 'ok', ack: 'ok', join: 'ok' };
    expect(await verdicts(bob, '$user:bob')).toEqual(owner);
    const everything = [{ match: '*', join: true, publish: true }];
    for (const eve of [
      await connect(encoding),
      await connectAs('eve', undefined, encoding),
      await connectAs('eve', everything, encoding),
    ]) {
      for (const room of ['$user:bob', '$user:', '$system']) {
        expect(await verdicts(eve, room)).toEqual(NOTHING);
      }
      expect(JSON.stringify(eve.frames)).not.toContain('a secret of bob');
    }
    const read = await (await api('/v1/rooms/%24user%3Abob/history')).text();
    expect(read).toContain('a secret of bob');
  });

  it('reads only rooms that it may join', async () => {
    const nobody = await connect(encoding);
    const ann = await connectAs('ann', undefined, encoding);
    const all = { members: 'ok', history: 'ok', ack: 'ok', publish: 'ok', join: 'ok', leave: 'ok' };
    const unread = { members: 'forbidden', history: 'forbidden', ack: 'forbidden', join: 'forbidden' };
    expect(await verdicts(nobody, 'closed:1')).toEqual({ ...all, ...unread, leave: 'not_joined' });
    expect(await verdicts(ann, 'closed:1')).toEqual({ ...all, ...unread, leave: 'not_joined' });
    expect(await verdicts(nobody, 'users:1')).toEqual({ ...all, ...unread, leave: 'not_joined' });
    expect(await verdicts(ann, 'users:1')).toEqual(all);
    expect(await verdicts(nobody, 'open:1')).toEqual({ ...all, ack: 'forbidden' });
    expect((await api('/v1/rooms/closed%3A1/history')).status).toBe(200);
    expect((await api('/v1/rooms/closed%3A1/members')).status).toBe(200);
  });

  it('is told which rule or claim says no', async () => {
    const ann = await connectAs('ann', [{ match: 'news:*', join: true, publish: true }], encoding);
    const nobody = await connect(encoding);
    const message = async (client: TestClient, ...fields: [type: 'history' | 'publish', ...unknown[]]) =>
      (await client.request(...fields))[3];
    expect(await message(ann, 'history', 'closed:1')).toContain('join: nobody');
    expect(await message(nobody, 'history', 'users:1')).toContain('join: authenticated');
    expect(await message(ann, 'publish', 'news:1', 1)).toContain('publish: server');
    expect(await message(nobody, 'publish', 'team:1', 1)).toContain('publish: members');
    expect(await message(ann, 'history', 'users:1')).toContain('rooms claim');
  });
});

describe.each(['msgpack', 'json'] as const)('an anonymous %s connection beside users', (encoding) => {
  it('is welcomed at once, outlives the auth timeout and does what room rules permit', async () => {
    const nobody = await connect(encoding);
    const sentAt = performance.now();
    expect(await nobody.hello()).toMatchObject({ user: null });
    await nobody.ok('join', 'open:a');
    const ann = await connectAs('ann', undefined, encoding);
    await ann.ok('publish', 'open:a', 'for all');
    await nobody.next((frame) => frame[0] === 'message' && frame[5] === 'for all');
    // Three times the timeout of this node.
    while (performance.now() - sentAt < 300) await nobody.ok('ping');
    expect(await nobody.ok('ping')).toEqual({});
  });

  it("becomes a user's by an auth frame, in its rooms too", async () => {
    const client = await connect(encoding);
    const { connection } = await client.hello();
    await client.ok('join', 'open:b');
    expect((await client.request('join', 'users:b'))[2]).toBe('forbidden');
    const before = await client.ok<MembersResult>('members', 'open:b');
    expect(before).toMatchObject({ count: 1, users: 0, members: [{ connection, user: null }] });
    await client.ok('auth', await token({ sub: 'ann' }));
    await client.ok('join', 'users:b');
    await api('/v1/publish', { room: '$user:ann', data: 'personal' });
    await client.next((frame) => frame[0] === 'message' && frame[5] === 'personal');
    await client.ok('publish', 'open:b', 'as ann');
    const heard = await client.next((frame) => frame[0] === 'message' && frame[5] === 'as ann');
    expect(heard[4]).toBe('ann');
    const after = await client.ok<MembersResult>('members', 'open:b');
    expect(after).toMatchObject({ count: 1, users: 1, members: [{ connection, user: 'ann' }] });
    expect(client.frames.filter(([type]) => type === 'hello')).toHaveLength(1);
  });

  it('is refused with a bad token, at the upgrade and in band', async () => {
    await expect(connect(encoding, 'nonsense')).rejects.toMatchObject({ status: 401 });
    const client = await connect(encoding);
    expect((await client.request('auth', 'nonsense'))[2]).toBe('unauthorized');
    expect((await client.closed).code).toBe(4501);
  });
});

describe.each(['msgpack', 'json'] as const)('a %s user whose fresh token grants less', (encoding) => {
  it('is removed from the rooms that it does not grant, before the ok, and from no others', async () => {
    const ann = await connectAs('ann', [{ match: 'open:*', join: true, publish: true }], encoding);
    for (const room of ['open:1', 'open:2', 'open:3']) await ann.ok('join', room);
    const rooms = [{ match: 'open:2', join: true }];
    const refreshed = await ann.request('auth', await token({ sub: 'ann', rooms }));
    expect(refreshed[0]).toBe('ok');
    const removed = ann.frames.filter(([type]) => type === 'removed');
    const reason = expect.stringContaining('rooms claim');
    expect(removed).toEqual([
      ['removed', 'open:1', reason],
      ['removed', 'open:3', reason],
    ]);
    expect(ann.frames.indexOf(removed[1]!)).toBeLessThan(ann.frames.indexOf(refreshed));
    for (const room of ['open:1', 'open:2', 'open:3', '$user:ann']) {
      await api('/v1/publish', { room, data: room });
    }
    await ann.next((frame) => frame[0] === 'message' && frame[1] === '$user:ann');
    await ann.next((frame) => frame[0] === 'message' && frame[1] === 'open:2');
    expect([...ann.messages('open:1'), ...ann.messages('open:3')]).toEqual([]);
    expect((await ann.request('publish', 'open:2', 1))[2]).toBe('forbidden');
    const { count } = (await (await api('/v1/rooms/open%3A1/members')).json()) as MembersResult;
    expect(count).toBe(0);
  });
});

const BY_NAME = [
  {
    ...{ match: 'stage:*', join: true, publish: true },
    ...{ members: true, history: true, ack: true, presence: true },
  },
];
const BY_JOIN = [{ match: 'stage:*', join: true, publish: true }];

describe.each(['msgpack', 'json'] as const)('in a room with rights by claim a %s client', (encoding) => {
  it('has those that its token names, and no others', async () => {
    const all = { members: 'ok', history: 'ok', ack: 'ok', publish: 'ok', join: 'ok', leave: 'ok' };
    const unnamed = { members: 'forbidden', history: 'forbidden', ack: 'forbidden' };
    for (const [rooms, expected] of [
      [BY_NAME, all],
      [BY_JOIN, { ...all, ...unnamed }],
      [undefined, { ...all, ...unnamed }],
    ] as const) {
      const ann = await connectAs('ann', rooms, encoding);
      expect(await verdicts(ann, 'stage:0')).toEqual(expected);
    }
  });

  it('hears of members, keeps data and reads as long as its token says so', async () => {
    const ann = await connectAs('ann', BY_NAME, encoding);
    const bob = await connectAs('bob', BY_NAME, encoding);
    await ann.ok('join', 'stage:1', { members: true, data: 'here' });
    await bob.ok('join', 'stage:1', { data: 'b' });
    await ann.next((frame) => frame[0] === 'member' && (frame[3] as { user: string }).user === 'bob');
    await ann.ok('auth', await token({ sub: 'ann', rooms: BY_JOIN }));
    // Her data is gone, which those who may know it are told.
    const gone = await bob.next((frame) => frame[0] === 'presence');
    expect(gone[2]).toEqual({ connection: expect.any(String), user: 'ann' });
    const about = ann.frames.filter(([type]) => ['member', 'presence', 'members'].includes(type)).length;
    await bob.ok('leave', 'stage:1');
    await api('/v1/publish', { room: 'stage:1', data: 'after' });
    await ann.next((frame) => frame[0] === 'message' && frame[5] === 'after');
    expect(ann.frames.filter(([type]) => ['member', 'presence', 'members'].includes(type))).toHaveLength(
      about,
    );
    expect(ann.frames.some(([type]) => type === 'removed')).toBe(false);
    for (const [options, right] of [
      [{ last: 1 }, 'history'],
      [{ resume: true }, 'ack'],
      [{ members: true }, 'members'],
      [{ data: 1 }, 'presence'],
    ] as const) {
      const reply = await ann.request('join', 'stage:1', options);
      expect(reply.slice(2, 4)).toEqual(['forbidden', expect.stringContaining(`access.${right}: claim`)]);
    }
  });
});

describe('an event stream in a room with rights by claim', () => {
  const read = async (query: string, rooms: unknown, lastEventId?: string): Promise<EventReader> => {
    const authorization = `Bearer ${await token({ sub: 'ann', rooms })}`;
    return EventReader.open(`${node.url}/v1/rooms/stage%3A2/events${query}`, {
      headers: {
        Authorization: authorization,
        ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }),
      },
    });
  };

  it('is refused what its token does not name, and told which rule says so', async () => {
    await api('/v1/publish', { room: 'stage:2', data: 'old' });
    const refused: StreamRefused = await read('?last=5', BY_JOIN).catch((error) => error);
    expect([refused.status, refused.code]).toEqual([403, 'forbidden']);
    expect(refused.message).toContain('its rule "stage:*" says access.history: claim');
  });

  it('that comes back gets a gap in place of what it may not read, and nothing of the members', async () => {
    const named = await read('?last=1', BY_NAME);
    const [first] = await named.until('the replay', ([type]) => type === 'message').then(() => named.events);
    const epoch = first!.id!.split(',')[0]!;
    const plain = await read('', BY_JOIN, `${epoch},0`);
    await plain.until('the gap', ([type]) => type === 'gap');
    await api('/v1/publish', { room: 'stage:2', data: 'new' });
    await plain.until('the message', ([type]) => type === 'message');
    expect(plain.frames.map(([type]) => type)).toEqual(['joined', 'gap', 'message']);
    expect(plain.frames[1]).toEqual(['gap', 'stage:2', 1, 1, 'forbidden']);
    expect(plain.messages).toEqual(['new']);
    await named.until('the arrival', ([type]) => type === 'member');
    for (const reader of [named, plain]) reader.close();
  });
});

it('a node that denies by default admits clients only to what a rule and a token name', async () => {
  const closed = await NodeProcess.start({
    env: {
      ...{ ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_DEFAULT_DENY: 'true', ROOMCAST_API_KEYS: API_KEY },
      ROOMCAST_ROOMS: JSON.stringify([{ match: 'chat:*', join: 'authenticated', publish: 'members' }]),
    },
  });
  try {
    const as = async (rooms: unknown) =>
      TestClient.connect(closed.wsUrl, {
        encoding: 'msgpack',
        token: await token({ sub: 'ann', ...(rooms === undefined ? {} : { rooms }) }),
      });
    const granted = await as([{ match: '*', join: true, publish: true }]);
    const plain = await as(undefined);
    expect(await granted.ok('join', 'chat:1')).toMatchObject({ epoch: expect.any(String) });
    expect((await granted.request('join', 'other'))[3]).toContain(
      'no rule matches it, and defaultDeny is on',
    );
    expect((await plain.request('join', 'chat:1'))[3]).toContain('it has no rooms claim');
    expect((await plain.request('history', '$user:ann'))[0]).toBe('ok');
    await Promise.all([granted.close(), plain.close()]);
  } finally {
    await closed.stop();
  }
});
