/** `roomcast/testing`: what the server API does to rooms and their members, and what outlives a restart of that. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts';
import { PlainClient } from '../support/plain-client.ts';

let broker: TestBroker;

beforeEach(async () => {
  broker = await startTestBroker({ time: 'manual', rooms: [{ match: 'live', history: false }] });
});

afterEach(() => broker.stop());

async function connectAs(user: string): Promise<PlainClient> {
  const client = new PlainClient(broker.WebSocket, `${broker.url}?token=${await broker.token({ user })}`);
  await client.opened;
  return client;
}

describe('a user who is removed from a room', () => {
  it('is kept out for the time, also by the node that comes after, and may be put back', async () => {
    let ann = await connectAs('ann');
    await ann.request('join', 'chat');
    await broker.remove('chat', 'ann', { reason: 'spam', forMs: 60_000 });
    expect(ann.of('removed')).toEqual([['removed', 'chat', 'spam']]);
    await broker.restart();
    ann = await connectAs('ann');
    expect((await ann.request('join', 'chat')).slice(2, 3)).toEqual(['forbidden']);
    await broker.add('chat', 'ann');
    expect(ann.of('joined')).toHaveLength(1);
    await broker.remove('chat', 'ann', { forMs: 60_000 });
    await broker.clock.advance(60_000);
    expect((await ann.request('join', 'chat'))[0]).toBe('ok');
  });

  it('is forgotten with everything else', async () => {
    await broker.remove('chat', 'ann', { forMs: 60_000 });
    await broker.restart({ keepHistory: false });
    expect((await (await connectAs('ann')).request('join', 'chat'))[0]).toBe('ok');
  });

  it('is refused what makes no sense', async () => {
    await expect(broker.remove('$user:ann', 'ann')).rejects.toThrow('reserved');
    await expect(broker.add('a*b', 'ann')).rejects.toThrow(TypeError);
    await expect(broker.remove('chat', 'ann', { forMs: -1 })).rejects.toThrow('forMs');
  });
});

describe('what is revoked', () => {
  const connect = (token: string) => new PlainClient(broker.WebSocket, `${broker.url}?token=${token}`);

  it('is closed with 4505 when it resolves, and refused until its time is over, also after a restart', async () => {
    const [x, y] = [
      await broker.token({ user: 'ann', jti: 'x' }),
      await broker.token({ user: 'ann', jti: 'y' }),
    ];
    const [one, other] = [connect(x), connect(y)];
    await Promise.all([one.opened, other.opened]);
    await broker.revoke({ jti: 'x' }, { forMs: 60_000 });
    expect(one.of('error').at(-1)).toEqual(['error', 0, 'token_revoked', expect.any(String)]);
    expect((await one.closed).code).toBe(4505);
    expect(broker.connections).toHaveLength(1);
    await broker.restart();
    expect((await connect(x).closed).code).toBe(4505);
    await connect(y).opened;
    await broker.revoke({ user: 'ann' });
    expect(broker.connections).toEqual([]);
    expect((await connect(y).closed).code).toBe(4505);
    await broker.revoke({ user: 'ann' }, { forMs: 0 });
    await broker.clock.advance(60_000);
    await Promise.all([connect(x), connect(y)].map(({ opened }) => opened));
    await broker.settled();
    expect(broker.connections).toHaveLength(2);
  });

  it('is a user or a token', async () => {
    await expect(broker.revoke({} as never)).rejects.toThrow('name a user or the jti');
    await expect(broker.revoke({ user: 'ann' }, { forMs: -1 })).rejects.toThrow('forMs');
  });
});

it('deletes a history: members get reset to the position that it resolves with', async () => {
  const ann = await connectAs('ann');
  await ann.request('join', 'chat');
  await broker.publish('chat', 1);
  const [epoch, offset] = await broker.deleteHistory('chat');
  expect(offset).toBe(1);
  expect(ann.of('reset')).toEqual([['reset', 'chat', epoch, 1]]);
  expect((await broker.history('chat')).messages).toEqual([]);
  expect(await broker.deleteHistory('unused')).toEqual(['', 0]);
  await expect(broker.deleteHistory('live')).rejects.toThrow('keeps no history');
});

it('publishes signals, and messages that take the place of others', async () => {
  const ann = await connectAs('ann');
  await ann.request('join', 'chat');
  expect(await broker.publish('chat', 'typing', { ephemeral: true })).toEqual({ epoch: '', offset: 0 });
  for (const price of [1, 2, 3]) await broker.publish('live', price, { conflateKey: 'price' });
  await broker.settled();
  expect(ann.of('signal').map((frame) => frame[4])).toEqual(['typing']);
  await broker.restart();
  const late = await connectAs('ann');
  await late.request('join', 'live', { last: 10 });
  expect(late.of('message').map((frame) => frame[5])).toEqual([3]);
  await expect(broker.publish('chat', 1, { ephemeral: true, key: 'k' })).rejects.toThrow(TypeError);
});
