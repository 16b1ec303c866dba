/** The client against a real broker in this process, over links that are cut. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import { RoomcastClient } from '../../src/client/index.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json.ts';
import {
  type Scheduler,
  startTestBroker,
  type TestBroker,
  type TestDevice,
} from '../../src/testing/index.ts';
import { Random } from '../support/random.ts';
import { delay, waitFor } from '../support/wait.ts';

const EVERY_ROOM = { match: '*', acks: true, memberEvents: true };

let broker: TestBroker;
const clients: BaseClient[] = [];

beforeEach(async () => {
  broker = await startTestBroker({
    rooms: [{ ...EVERY_ROOM, match: 'live:*', acks: false, history: false }, EVERY_ROOM],
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await broker.stop();
});

interface Connected {
  readonly client: BaseClient;
  readonly device: TestDevice;
  /** WebSockets that it has opened so far. */
  opened(): number;
}

function connect(
  Client: typeof RoomcastClient = RoomcastClient,
  user: string | null = null,
  scheduler: Scheduler | null = null,
): Connected {
  const device = broker.device();
  let opened = 0;
  const client = new Client(broker.url, {
    WebSocket: class extends device.WebSocket {
      constructor(url: string, protocol: string) {
        opened++;
        super(url, protocol);
      }
    },
    ...(user !== null && { getToken: () => broker.token({ user }) }),
    ...(scheduler !== null && { environment: { scheduler } }),
    reconnect: { baseMs: 5, capMs: 20 },
    onError: (error) => {
      throw error;
    },
  });
  clients.push(client);
  return { client, device, opened: () => opened };
}

describe.each([
  ['MessagePack', RoomcastClient],
  ['JSON', JsonClient as unknown as typeof RoomcastClient],
])('a client that speaks %s', (_name, Client) => {
  it('joins, publishes and hears', async () => {
    const { client } = connect(Client);
    const room = client.room<{ text: string }>('chat:1');
    const messages = room.messages();
    const { epoch, offset } = await room.publish({ text: 'hello, wörld 👋' });
    expect((await messages.next()).value).toMatchObject({ offset, data: { text: 'hello, wörld 👋' } });
    expect(room.position).toEqual([epoch, 1]);
    await room.publish({ text: 'not to me' }, { echo: false });
    await room.publish({ text: 'to me' });
    expect((await messages.next()).value).toMatchObject({ offset: 3 });
  });

  it('enters with the newest messages, and reads history', async () => {
    const writer = connect(Client).client;
    for (let n = 1; n <= 5; n++) await writer.publish('chat:1', n);
    const room = connect(Client).client.room<number>('chat:1', { last: 2 });
    const joined = new Promise((resolve) => room.on('joined', resolve));
    const messages = room.messages();
    expect([(await messages.next()).value.data, (await messages.next()).value.data]).toEqual([4, 5]);
    expect(await joined).toEqual({ recovered: false, missed: 2, gap: 0, reset: false });
    const page = await room.history({ limit: 3 });
    expect(page.messages.map(({ data }) => data)).toEqual([3, 4, 5]);
    expect(page.position).toEqual(room.position);
  });

  it('has a room without history too', async () => {
    const room = connect(Client).client.room('live:1');
    const messages = room.messages();
    await room.publish('now');
    expect((await messages.next()).value).toMatchObject({ offset: 0, data: 'now' });
    expect(room.position).toBeNull();
  });

  it('sends signals to the others, and to itself where asked', async () => {
    const [ann, bob] = [connect(Client, 'ann').client, connect(Client, 'bob').client];
    const rooms = [ann, bob].map((client) => client.room<unknown, string>('chat:1'));
    const heard: string[][] = [[], []];
    for (const [i, room] of rooms.entries()) {
      room.on('signal', ({ sender, data }) => heard[i]!.push(`${sender} ${data}`));
    }
    await Promise.all(rooms.map((room) => new Promise((resolve) => room.on('joined', resolve))));
    expect(rooms[0]!.signal('typing')).toBe('sent');
    expect(rooms[0]!.signal('cursor', { echo: true })).toBe('sent');
    await waitFor(() => heard[1]!.length === 2 && heard[0]!.length === 1);
    expect(heard).toEqual([['ann cursor'], ['ann typing', 'ann cursor']]);
    expect((await rooms[0]!.history()).messages).toEqual([]);
  });

  it('resumes on another device where the user left off', async () => {
    const writer = connect(Client).client;
    const first = connect(Client, 'ann').client;
    const room = first.room<number>('chat:1', { resume: true });
    await new Promise((resolve) => room.on('joined', resolve));
    const messages = room.messages();
    for (let n = 1; n <= 4; n++) await writer.publish('chat:1', n);
    for (let n = 1; n <= 2; n++) await messages.next();
    await room.ack([room.position![0], 2]);
    first.close();
    const second = connect(Client, 'ann').client.room<number>('chat:1', { resume: true }).messages();
    expect([(await second.next()).value.data, (await second.next()).value.data]).toEqual([3, 4]);
  });

  it('hears who comes and leaves', async () => {
    const { client } = connect(Client, 'ann');
    const room = client.room('chat:1');
    const changes: unknown[] = [];
    room.on('member', ({ change, who, count }) => changes.push([change, who?.user, count]));
    await new Promise((resolve) => room.on('joined', resolve));
    const bob = connect(Client, 'bob');
    bob.client.room('chat:1');
    await waitFor(() => changes.some((change) => (change as unknown[])[1] === 'bob'));
    bob.client.close();
    await waitFor(() => changes.some((change) => (change as unknown[])[0] === 'left'));
    expect(changes.slice(-2)).toEqual([
      ['joined', 'bob', 2],
      ['left', 'bob', 1],
    ]);
    expect(await room.listMembers()).toMatchObject({ count: 1, users: 1, members: [{ user: 'ann' }] });
  });
});

describe('under cuts', () => {
  it('every acknowledged message arrives once and in order, every publish settles, and none is stored twice', async () => {
    const dice = new Random(4_711);
    const readers = [0, 1, 2].map(() => connect());
    const heard = readers.map(({ client }) => {
      const seen: number[] = [];
      client.room<number>('chat:1', { last: 0 }).on('message', ({ data }) => seen.push(data));
      return seen;
    });
    await waitFor(() => readers.every(({ client }) => client.room('chat:1').state === 'joined'));
    const writer = connect();
    const room = writer.client.room<number>('chat:1');
    const results: Promise<unknown>[] = [];
    for (let n = 0; n < 1000; n++) {
      results.push(room.publish(n));
      if (dice.next() < 0.03) broker.cut(writer.device);
      if (dice.next() < 0.05) broker.cut(dice.pick(readers).device, { silent: false });
      if (dice.next() < 0.3) await delay(dice.whole(0, 3));
    }
    await Promise.all(results);
    const expected = Array.from({ length: 1000 }, (_, n) => n);
    await waitFor(() => heard.every((seen) => seen.length >= 1000));
    for (const seen of heard) expect(seen).toEqual(expected);
    const { position } = await room.history({ limit: 1 });
    expect(position[1]).toBe(1000);
    expect(writer.opened()).toBeGreaterThan(10);
    expect(writer.client.pending).toBe(0);
  });

  it('a thousand clients that come and go leave no connection and no timer', async () => {
    // Of the broker and of the clients, which all have its clock: the process has those of the test runner too.
    const before = broker.clock.timerCount;
    for (let i = 0; i < 1000; i++) {
      const { client } = connect(RoomcastClient, null, broker.clock);
      if (i % 2 === 0) client.connect();
      if (i % 3 === 0) await new Promise((done) => setImmediate(done));
      if (i % 5 === 0) await client.room('chat:1').publish(i);
      client.close();
    }
    await waitFor(() => broker.connections.length === 0);
    expect(broker.clock.timerCount).toBe(before);
  });
});
