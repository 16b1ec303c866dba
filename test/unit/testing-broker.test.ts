/** `roomcast/testing`: what a node promises holds in it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../../src/testing/index.ts';
import { PlainClient } from '../support/plain-client.ts';

let broker: TestBroker;

async function start(options: TestBrokerOptions = {}): Promise<void> {
  broker = await startTestBroker({ time: 'manual', ...options });
}

afterEach(() => broker.stop());

async function connect(encoding: Encoding = 'msgpack', url = broker.url): Promise<PlainClient> {
  const client = new PlainClient(broker.WebSocket, url, encoding);
  await client.opened;
  return client;
}

async function connectAs(user: string, encoding: Encoding = 'msgpack'): Promise<PlainClient> {
  return connect(encoding, `${broker.url}?token=${await broker.token({ user })}`);
}

const epochOf = ([, , result]: readonly unknown[]) => (result as { epoch: string }).epoch;

describe.each(['msgpack', 'json'] as const)('a test broker, to clients that speak %s,', (encoding) => {
  it('says hello, and brings each message to every member', async () => {
    await start();
    const [ann, bob] = [await connectAs('ann', encoding), await connect(encoding)];
    await Promise.all([ann.request('join', 'lobby'), bob.request('join', 'lobby')]);
    const reply = await ann.request('publish', 'lobby', { text: 'hello' });
    await broker.settled();
    expect(ann.frames[0]).toMatchObject(['hello', { user: 'ann', version: 1 }]);
    expect(reply).toMatchObject(['ok', expect.any(Number), { offset: 1 }]);
    expect([ann.told('lobby'), bob.told('lobby')]).toEqual([[{ text: 'hello' }], [{ text: 'hello' }]]);
  });

  it('leaves the publisher out where it asks for no echo', async () => {
    await start();
    const [ann, bob] = [await connect(encoding), await connect(encoding)];
    await Promise.all([ann.request('join', 'lobby'), bob.request('join', 'lobby')]);
    await ann.request('publish', 'lobby', 1, { echo: false });
    await broker.settled();
    expect([ann.told('lobby'), bob.told('lobby')]).toEqual([[], [1]]);
  });

  it('gives those who return after a cut what they missed', async () => {
    await start();
    const ann = await connect(encoding);
    const joined = await ann.request('join', 'lobby');
    await broker.publish('lobby', 1);
    await broker.settled();
    expect(broker.cut()).toBe(1);
    await broker.publish('lobby', 2);
    expect(await ann.closed).toEqual({ code: 1006, reason: '', wasClean: false });
    const back = await connect(encoding);
    const reply = await back.request('join', 'lobby', { since: [epochOf(joined), 1] });
    await broker.settled();
    expect(reply[2]).toMatchObject({ recovered: true });
    expect([ann.told('lobby'), back.told('lobby')]).toEqual([[1], [2]]);
  });

  it('names what expired from history', async () => {
    await start({ history: { messages: 2, ageMs: 60_000 } });
    const joined = await (await connect(encoding)).request('join', 'lobby');
    for (let i = 1; i <= 5; i++) {
      await broker.publish('lobby', i);
      await broker.settled();
    }
    const back = await connect(encoding);
    await back.request('join', 'lobby', { since: [epochOf(joined), 0] });
    await broker.settled();
    expect(back.of('gap')).toEqual([['gap', 'lobby', 1, 3, 'expired']]);
    expect(back.told('lobby')).toEqual([4, 5]);
  });
});

describe('a test broker', () => {
  it('gives a new member the newest messages, and pages of history', async () => {
    await start();
    for (let i = 1; i <= 4; i++) await broker.publish('lobby', i);
    const ann = await connect();
    await ann.request('join', 'lobby', { last: 2 });
    const page = await ann.request('history', 'lobby', { limit: 1 });
    expect(ann.told('lobby')).toEqual([3, 4]);
    expect(page[2]).toMatchObject({
      offset: 4,
      messages: [['message', 'lobby', 4, expect.any(Number), null, 4]],
    });
    const { messages } = await broker.history('lobby', { limit: 3 });
    expect(messages.map((frame) => frame[5])).toEqual([2, 3, 4]);
  });

  it('stores a publish with one key once, until the window is over', async () => {
    await start({ dedupWindowMs: 60_000 });
    const ann = await connect();
    const publish = () => ann.request('publish', 'lobby', 'paid', { key: 'order-17' });
    const replies = [await publish(), await publish()];
    await broker.clock.advance(61_000);
    replies.push(await publish());
    expect(replies.map((reply) => reply[2])).toEqual([
      { epoch: expect.any(String), offset: 1 },
      { epoch: expect.any(String), offset: 1, duplicate: true },
      { epoch: expect.any(String), offset: 2 },
    ]);
    expect(await broker.publish('lobby', 1, { key: 'order-17' })).toMatchObject({ offset: 3 });
  });

  it('tells members who came and went', async () => {
    await start({ rooms: [{ match: 'team:*', memberEvents: true }] });
    const ann = await connectAs('ann');
    await ann.request('join', 'team:1');
    const bob = await connectAs('bob');
    await bob.request('join', 'team:1');
    expect(await broker.members('team:1')).toMatchObject({ count: 2, users: 2 });
    expect(await broker.rooms()).toMatchObject({ rooms: [{ room: 'team:1', count: 2 }] });
    broker.cut('bob');
    await broker.settled();
    expect(ann.of('member').map(([, , change, who]) => [change, who])).toEqual([
      ['joined', expect.objectContaining({ user: 'ann' })],
      ['joined', expect.objectContaining({ user: 'bob' })],
      ['left', expect.objectContaining({ user: 'bob' })],
    ]);
    expect(broker.connections).toMatchObject([
      { user: 'ann', encoding: 'msgpack', rooms: ['$user:ann', 'team:1'] },
    ]);
  });

  it('goes on where a user has read, on another device', async () => {
    await start({ rooms: [{ match: 'orders:*', acks: true }] });
    const phone = await connectAs('ann');
    const joined = await phone.request('join', 'orders:1', { resume: true });
    for (let i = 1; i <= 3; i++) await broker.publish('orders:1', i);
    await phone.request('ack', 'orders:1', [epochOf(joined), 2]);
    const laptop = await connectAs('ann');
    await laptop.request('join', 'orders:1', { resume: true });
    await broker.settled();
    expect(laptop.told('orders:1')).toEqual([3]);
    expect((await broker.acks('orders:1')).users).toEqual([{ user: 'ann', offset: 2 }]);
  });

  it('answers with the codes of the protocol', async () => {
    await start({
      auth: {},
      rooms: [{ match: 'news', publish: 'server' }],
      limits: { roomsPerConnection: 1 },
      websocket: { maxPayloadBytes: 1024 },
    });
    const rooms = [{ match: 'news', join: true, publish: true }];
    const token = await broker.token({ user: 'ann', rooms });
    const ann = await connect('msgpack', `${broker.url}?token=${token}`);
    const stranger = await connect();
    const replies = [
      await ann.request('publish', 'news', 1),
      await ann.request('join', 'other'),
      await ann.request('join', 'a*b'),
      await ann.request('leave', 'news'),
      await stranger.request('join', 'news'),
    ];
    expect(replies.map((reply) => reply[2])).toEqual([
      ...['forbidden', 'forbidden', 'bad_room', 'not_joined', 'unauthorized'],
    ]);
    expect(await stranger.closed).toMatchObject({ code: 4501, wasClean: true });
    ann.socket.send(new Uint8Array(1025));
    expect(await ann.closed).toMatchObject({ code: 1009 });
  });

  it('checks the server API as a node does', async () => {
    await start({ websocket: { maxPayloadBytes: 1024 } });
    await expect(broker.publish('a*b', 1)).rejects.toThrow('contains a control character or *');
    await expect(broker.publish('lobby', 1, { key: '' })).rejects.toThrow('key must be 1 to 64 bytes, got 0');
    await expect(broker.publish('lobby', 'x'.repeat(2000))).rejects.toThrow('at most 1024 bytes, got 2003');
    await expect(broker.members('')).rejects.toThrow('the room name is empty');
  });

  it('lists what is wrong with its settings', async () => {
    await start();
    const wrong = { redis: { url: null }, history: { mesages: 3 }, limits: { roomsPerConnection: -1 } };
    await expect(startTestBroker(wrong as TestBrokerOptions)).rejects.toThrow(
      /settings redis: a test broker has none.*\n.*mesages.*\n.*settings limits.roomsPerConnection: .*got -1/,
    );
  });
});
