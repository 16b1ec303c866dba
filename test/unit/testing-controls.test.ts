/** `roomcast/testing`: each control does what it says, and nothing is left behind. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../../src/testing/index.ts';
import { PlainClient } from '../support/plain-client.ts';

const HEARTBEAT_MS = 10_000;
let broker: TestBroker;

async function start(options: TestBrokerOptions = {}): Promise<void> {
  broker = await startTestBroker({ time: 'manual', heartbeat: { intervalMs: HEARTBEAT_MS }, ...options });
}

afterEach(() => broker.stop());

async function connect(url = broker.url, encoding: Encoding = 'msgpack'): Promise<PlainClient> {
  const client = new PlainClient(broker.WebSocket, url, encoding);
  await client.opened;
  return client;
}

async function connectAs(user: string): Promise<PlainClient> {
  return connect(`${broker.url}?token=${await broker.token({ user })}`);
}

const epochOf = ([, , result]: readonly unknown[]) => (result as { epoch: string }).epoch;

describe('cut', () => {
  it('loses what is on its way, in both directions', async () => {
    await start();
    const ann = await connect();
    const bob = await connectAs('bob');
    await Promise.all([ann.request('join', 'lobby'), bob.request('join', 'lobby')]);
    void bob.request('publish', 'lobby', 'never sent');
    expect(broker.cut('bob')).toBe(1);
    await broker.settled();
    expect([ann.told('lobby'), bob.told('lobby')]).toEqual([[], []]);
    expect(bob.events).toEqual(['open', 'error', 'close']);
    expect(ann.socket.readyState).toBe(1);
  });

  it('ends only the one it is given', async () => {
    await start();
    const [ann, bob] = [await connect(), await connect()];
    expect([broker.cut(ann.socket), broker.cut('nobody')]).toEqual([1, 0]);
    await broker.settled();
    expect([ann.socket.readyState, bob.socket.readyState]).toEqual([3, 1]);
  });

  it('tells neither end if it is silent: the broker finds out by its heartbeat', async () => {
    await start();
    const [ann, bob] = [await connectAs('ann'), await connectAs('bob')];
    broker.cut('ann', { silent: true });
    await broker.clock.advance(1.9 * HEARTBEAT_MS);
    expect(broker.connections.map(({ user }) => user)).toEqual(['ann', 'bob']);
    await broker.clock.advance(1.1 * HEARTBEAT_MS);
    expect(broker.connections.map(({ user }) => user)).toEqual(['bob']);
    expect([ann, bob].map(({ events }) => events)).toEqual([['open'], ['open']]);
  });

  it('lets a client that closes a dead connection go after a while', async () => {
    await start();
    const ann = await connect();
    broker.cut(ann.socket, { silent: true });
    ann.socket.close();
    await broker.clock.advance(1_000);
    expect(ann.socket.readyState).toBe(2);
    await broker.clock.advance(1_000);
    expect(await ann.closed).toMatchObject({ code: 1006, wasClean: false });
  });
});

describe('delay', () => {
  it('holds back what is sent, both ways and in order', async () => {
    await start();
    const ann = await connect();
    await ann.request('join', 'lobby');
    broker.delay(200);
    void ann.request('publish', 'lobby', 1);
    await broker.clock.advance(199);
    expect((await broker.history('lobby')).offset).toBe(0);
    await broker.clock.advance(1);
    expect((await broker.history('lobby')).offset).toBe(1);
    broker.delay(0);
    await broker.publish('lobby', 2);
    await broker.settled();
    expect(ann.told('lobby')).toEqual([]);
    await broker.clock.advance(200);
    expect(ann.told('lobby')).toEqual([1, 2]);
  });

  it('is no time at all for a broker whose clock runs, if the test moves it', async () => {
    await start({ time: 'real' });
    const ann = await connect();
    broker.delay(HEARTBEAT_MS / 2);
    const reply = ann.request('ping');
    await broker.clock.advance(HEARTBEAT_MS);
    expect((await reply)[0]).toBe('ok');
  });

  it('passes by itself where the clock runs', async () => {
    await start({ time: 'real' });
    const ann = await connect();
    broker.delay(5);
    expect((await ann.request('ping'))[0]).toBe('ok');
  });
});

describe('fake timers of the runner', () => {
  afterEach(() => vi.useRealTimers());

  it('do not stop a broker whose clock stands still', async () => {
    await start();
    vi.useFakeTimers();
    const ann = await connectAs('ann');
    broker.delay(100);
    const reply = ann.request('ping');
    await broker.clock.advance(200);
    expect((await reply)[0]).toBe('ok');
  });
});

describe('pause', () => {
  const KIB = 1024;
  const big = (i: number) => `${i}:${'x'.repeat(8 * KIB)}`;
  const numbers = (client: PlainClient) =>
    client.told('lobby').map((data) => Number.parseInt(String(data), 10));

  async function publishTo(room: string, count: number): Promise<void> {
    for (let i = 1; i <= count; i++) await broker.publish(room, big(i));
    await broker.settled();
  }

  it('keeps what may wait for a client, and gives it the rest from history when it reads again', async () => {
    await start({ websocket: { backpressureBytes: 64 * KIB } });
    const [ann, bob] = [await connectAs('ann'), await connectAs('bob')];
    await Promise.all([ann.request('join', 'lobby'), bob.request('join', 'lobby')]);
    broker.pause('ann');
    await publishTo('lobby', 50);
    expect([numbers(ann).length, numbers(bob).length]).toEqual([0, 50]);
    broker.resume('ann');
    await broker.settled();
    expect(numbers(ann)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(ann.of('gap')).toEqual([]);
  });

  it('names what a client missed for good', async () => {
    await start({ websocket: { backpressureBytes: 64 * KIB }, history: { messages: 5 } });
    const ann = await connect();
    await ann.request('join', 'lobby');
    broker.pause(ann.socket);
    await publishTo('lobby', 50);
    broker.resume(ann.socket);
    await broker.settled();
    const [[, , from, to, reason] = []] = ann.of('gap') as unknown as [
      string,
      string,
      number,
      number,
      string,
    ][];
    expect([to, reason]).toEqual([45, 'expired']);
    expect(numbers(ann)).toEqual([...Array.from({ length: from! - 1 }, (_, i) => i + 1), 46, 47, 48, 49, 50]);
  });

  it('costs a client its connection where the room says so', async () => {
    await start({
      websocket: { backpressureBytes: 64 * KIB },
      rooms: [{ match: '*', slowReaders: 'disconnect' }],
    });
    const ann = await connect();
    await ann.request('join', 'lobby');
    broker.pause(ann.socket);
    await publishTo('lobby', 50);
    broker.resume(ann.socket);
    expect(await ann.closed).toMatchObject({ code: 4008, wasClean: true });
    expect(numbers(ann).length).toBeLessThan(10);
  });

  it('ends with the heartbeat: a client that reads nothing answers no ping', async () => {
    await start();
    const ann = await connect();
    broker.pause();
    await broker.clock.advance(3 * HEARTBEAT_MS);
    expect(broker.connections).toEqual([]);
    broker.resume();
    expect(await ann.closed).toMatchObject({ code: 4010, wasClean: true });
  });
});

describe('tokens', () => {
  it('of a user expire at once: an error, close 4002, and a fresh one is needed', async () => {
    await start();
    const token = await broker.token({ user: 'ann' });
    const ann = await connect(`${broker.url}?token=${token}`);
    const bob = await connectAs('bob');
    expect(broker.expireToken('ann')).toBe(1);
    expect(await ann.closed).toMatchObject({ code: 4002 });
    expect(ann.of('error')).toMatchObject([['error', 0, 'token_expired', expect.any(String)]]);
    const again = await connect(`${broker.url}?token=${token}`);
    expect(await again.closed).toMatchObject({ code: 4002 });
    const fresh = await connectAs('ann');
    await broker.settled();
    expect([fresh, bob].map(({ socket }) => socket.readyState)).toEqual([1, 1]);
  });

  it('expire with the clock, and can be replaced in time', async () => {
    await start();
    const token = await broker.token({ user: 'ann', expiresInMs: 60_000 });
    const [idle, ready] = [
      await connect(`${broker.url}?token=${token}`),
      await connect(`${broker.url}?token=${token}`),
    ];
    await broker.clock.advance(50_000);
    const fresh = await broker.token({ user: 'ann', expiresInMs: 3_600_000 });
    expect((await ready.request('auth', fresh))[0]).toBe('ok');
    await broker.clock.advance(60_000);
    expect(await idle.closed).toMatchObject({ code: 4002 });
    expect(ready.socket.readyState).toBe(1);
    const late = await connect(`${broker.url}?token=${token}`);
    expect(await late.closed).toMatchObject({ code: 4002 });
  });

  it('must be presented in time where they are required', async () => {
    await start({ auth: {} });
    const [ann, stranger] = [await connect(), await connect()];
    const user = await ann.request('auth', await broker.token({ user: 'ann', info: { name: 'Ann' } }));
    await broker.clock.advance(60_000);
    expect(user[2]).toMatchObject({ user: 'ann' });
    expect(ann.socket.readyState).toBe(1);
    expect(await stranger.closed).toMatchObject({ code: 4501 });
  });

  it('are not minted without a secret', async () => {
    await start({ auth: { jwksUrl: 'https://id.example.com/keys' } });
    await expect(broker.token({ user: 'ann' })).rejects.toThrow('set auth.secret');
  });
});

describe('restart', () => {
  it('says bye, closes with 1012, and keeps history', async () => {
    await start();
    const ann = await connect();
    const joined = await ann.request('join', 'lobby');
    await broker.publish('lobby', 1);
    await broker.restart();
    expect(ann.of('bye')).toEqual([['bye', 1012, { reconnectAfterMs: 0 }]]);
    expect(await ann.closed).toMatchObject({ code: 1012, wasClean: true });
    expect(broker.connections).toEqual([]);
    const back = await connect();
    await back.request('join', 'lobby', { since: [epochOf(joined), 0] });
    expect(back.told('lobby')).toEqual([1]);
    expect(back.of('reset')).toEqual([]);
    expect(await broker.publish('lobby', 2)).toMatchObject({ epoch: epochOf(joined), offset: 2 });
  });

  it('begins rooms anew without history: who returns gets a reset', async () => {
    await start();
    const ann = await connect();
    const joined = await ann.request('join', 'lobby');
    await broker.publish('lobby', 1);
    await broker.restart({ keepHistory: false });
    const back = await connect();
    await back.request('join', 'lobby', { since: [epochOf(joined), 1] });
    await broker.publish('lobby', 2);
    await broker.settled();
    expect(back.of('reset')).toMatchObject([
      ['reset', 'lobby', expect.not.stringMatching(epochOf(joined)), 0],
    ]);
    expect(back.told('lobby')).toEqual([2]);
  });

  it('answers what was published before', async () => {
    await start();
    const ann = await connect();
    const reply = ann.request('publish', 'lobby', 1);
    await broker.settled();
    await broker.restart();
    expect((await reply)[0]).toBe('ok');
    expect((await broker.history('lobby')).offset).toBe(1);
  });
});

describe('a device', () => {
  it('goes offline and comes back apart from others', async () => {
    await start();
    const phone = broker.device();
    const ann = new PlainClient(phone.WebSocket, broker.url);
    const bob = await connect();
    await ann.opened;
    expect(broker.goOffline(phone)).toBe(1);
    expect(await ann.closed).toMatchObject({ code: 1006 });
    const refused = new PlainClient(phone.WebSocket, broker.url);
    expect(await refused.closed).toMatchObject({ code: 1006 });
    expect(refused.events).toEqual(['error', 'close']);
    broker.goOnline(phone);
    await new PlainClient(phone.WebSocket, broker.url).opened;
    expect(bob.socket.readyState).toBe(1);
    expect([broker.cut(phone), broker.goOffline()]).toEqual([1, 2]);
    expect(await bob.closed).toMatchObject({ code: 1006 });
  });
});

describe('disconnect', () => {
  it("closes a user's connections for good", async () => {
    await start();
    const [ann, bob] = [await connectAs('ann'), await connectAs('bob')];
    await broker.disconnect('ann');
    expect(await ann.closed).toMatchObject({ code: 4503 });
    expect(bob.socket.readyState).toBe(1);
  });
});

describe('stop', () => {
  it('leaves nothing behind', async () => {
    await start({ time: 'real' });
    const [ann, bob, dead] = [await connectAs('ann'), await connectAs('bob'), await connectAs('dead')];
    await Promise.all([ann, bob, dead].map((client) => client.request('join', 'lobby')));
    broker.pause('bob');
    broker.cut('dead', { silent: true });
    broker.delay(60_000);
    void ann.request('publish', 'lobby', 1);
    await Promise.all([broker.stop(), broker.stop()]);
    expect([ann, bob, dead].map(({ socket }) => socket.readyState)).toEqual([3, 3, 3]);
    expect(broker.clock.timerCount).toBe(0);
    broker.clock.after(1, () => expect.unreachable());
    expect(broker.clock.timerCount).toBe(0);
  });

  it('does not wait for a client that reconnects at once, again and again', async () => {
    await start();
    let attempts = 0;
    const connectAgain = () => {
      if (++attempts < 1000) new broker.WebSocket(broker.url).onclose = connectAgain;
    };
    connectAgain();
    await broker.settled();
    broker.goOffline();
    await broker.stop();
    expect(attempts).toBeLessThan(1000);
    await broker.settled();
    expect(attempts).toBe(1000);
  });

  it('lets nobody in any more', async () => {
    await start();
    await broker.stop();
    const late = new PlainClient(broker.WebSocket, broker.url);
    expect(await late.closed).toMatchObject({ code: 1006 });
    await expect(broker.publish('lobby', 1)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(broker.restart()).rejects.toThrow('the broker was stopped');
  });
});
