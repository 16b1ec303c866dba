/** A client at the limits of a real broker: many rooms, floods of signals, messages that just fit. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RoomcastClient as MsgpackClient } from '../../src/client/index.ts';
import { RoomcastClient as JsonClient } from '../../src/client/json.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts';
import { waitFor } from '../support/wait.ts';

let broker: TestBroker;
const clients: MsgpackClient[] = [];
const errors: unknown[] = [];

beforeEach(async () => {
  errors.length = 0;
  broker = await startTestBroker({ rooms: [{ match: '*' }] });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await broker.stop();
});

function connect(options: ClientOptions = {}, Client: typeof MsgpackClient = MsgpackClient): MsgpackClient {
  const client = new Client(broker.url, {
    WebSocket: broker.WebSocket,
    reconnect: { baseMs: 5, capMs: 20 },
    onError: (error) => errors.push(error),
    ...options,
  });
  clients.push(client);
  return client;
}

it('joins as many rooms as a connection may have, and again after a cut, without a refusal', async () => {
  const client = connect();
  const rooms = Array.from({ length: 100 }, (_, n) => client.room(`${n}:${'n'.repeat(100)}`));
  await waitFor(() => rooms.every(({ state }) => state === 'joined'));
  client.dropConnection();
  await waitFor(() => rooms.every(({ state }) => state === 'joined'));
  expect(errors).toEqual([]);
  expect(client.inspect().filter(({ frame }) => frame[0] === 'error')).toEqual([]);
});

it('says which of a thousand rooms the node does not let it join, and joins the others', async () => {
  const client = connect();
  const refused: unknown[] = [];
  const rooms = Array.from({ length: 1000 }, (_, n) => {
    const room = client.room(`room ${n}`);
    room.on('refused', ({ code }) => refused.push(code));
    return room;
  });
  await waitFor(() => rooms.every(({ state }) => state === 'joined' || state === 'refused'), {
    timeoutMs: 20_000,
  });
  expect(refused).toEqual(Array(900).fill('limit_exceeded'));
  expect(client.status.state).toBe('connected');
});

it.each([
  ['MessagePack', MsgpackClient],
  ['JSON', JsonClient as unknown as typeof MsgpackClient],
])(
  'floods with signals in %s without a refusal: what the node would refuse is dropped',
  async (_name, Client) => {
    const client = connect({}, Client);
    const room = client.room('cursors');
    await waitFor(() => room.state === 'joined');
    const outcomes = Array.from({ length: 5_000 }, (_, x) => room.signal({ x }));
    expect(new Set(outcomes)).toEqual(new Set(['sent', 'dropped']));
    await room.publish('after');
    expect(errors).toEqual([]);
    expect(client.status.state).toBe('connected');
  },
);

it.each([
  ['MessagePack', MsgpackClient],
  ['JSON', JsonClient as unknown as typeof MsgpackClient],
])('publishes in %s up to what the node accepts, and refuses more itself', async (_name, Client) => {
  const client = connect({}, Client);
  const room = client.room<string>('sizes');
  await waitFor(() => room.state === 'joined');
  const outcomes = new Set<string>();
  for (let bytes = 65_536 - 80; bytes <= 65_536; bytes += 3) {
    const stored = room.publish('x'.repeat(bytes)).then(
      () => 'stored',
      ({ code, message }) => `${code} ${/the node accepts \d+/.test(message) ? 'here' : 'by the node'}`,
    );
    outcomes.add(await stored);
  }
  expect(outcomes).toEqual(new Set(['stored', 'payload_too_large here']));
  expect(client.status.state).toBe('connected');
});
