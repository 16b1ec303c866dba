import { describe, expect, it } from 'vitest';
import { RefusedError, RoomcastError } from '../../src/client/errors.ts';
import { outcome, World } from './world.ts';

const PAGE = { epoch: 'e', offset: 2, messages: [['message', 'r', 2, 5, 'ann', 'hi']] };

describe('history, listMembers and ack', () => {
  it('ask the node, and give what it answers', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room<string>('r');
    const page = room.history({ since: ['e', 1], limit: 5 });
    const members = room.listMembers();
    const acked = room.ack(['e', 2]);
    await world.settle();
    expect(world.socket.sent.slice(1)).toEqual([
      ['history', 2, 'r', { since: ['e', 1], limit: 5 }],
      ['members', 3, 'r', {}],
      ['ack', 4, 'r', ['e', 2]],
    ]);
    world.socket.answer('history', PAGE);
    world.socket.answer('members', { count: 0, users: 0, members: [] });
    world.socket.answer('ack', { epoch: 'e', offset: 2 });
    expect(await page).toEqual({
      position: ['e', 2],
      messages: [{ room: 'r', offset: 2, time: 5, sender: 'ann', data: 'hi' }],
    });
    expect(await members).toEqual({ count: 0, users: 0, members: [] });
    expect(await acked).toEqual({ epoch: 'e', offset: 2 });
  });

  it('wait for a connection, and are asked again when it is lost before the answer', async () => {
    const world = new World();
    const client = world.client();
    const page = outcome(client.history('r'));
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('history')).toHaveLength(1);
    await world.reconnect();
    expect(world.socket.commands('history')).toHaveLength(1);
    world.socket.answer('history', PAGE);
    await world.settle();
    expect(page.value?.position).toEqual(['e', 2]);
  });

  it('reject with what the node says against it', async () => {
    const world = new World();
    const client = await world.connected();
    const page = client.history('r');
    await world.settle();
    world.socket.refuse('history', 'forbidden');
    await expect(page).rejects.toEqual(new RefusedError('forbidden', 'no'));
  });

  it.each([
    [{ retryAfterMs: 250, limit: 'limits.commandsPerSecond' }, 250, 'limits.commandsPerSecond'],
    [{ limit: 'limits.waitingReads' }, null, 'limits.waitingReads'],
    [{ retryAfterMs: 250 }, 250, null],
    [undefined, null, null],
  ])('reject with the wait and the limit that %j names', async (details, retryAfterMs, limit) => {
    const world = new World();
    const client = await world.connected();
    const page = outcome(client.history('r'));
    await world.settle();
    world.socket.refuse('history', 'rate_limited', details);
    await world.settle();
    expect(page.error).toBeInstanceOf(RefusedError);
    expect(page.error).toMatchObject({ code: 'rate_limited', retryAfterMs, limit });
  });

  it('may be aborted, while they wait for a connection and while they wait for the answer', async () => {
    const world = new World();
    const client = world.client();
    for (const accept of [false, true]) {
      const controller = new AbortController();
      const page = outcome(client.history('r', { abort: controller.signal }));
      await world.settle();
      if (accept) world.socket.accept();
      await world.settle();
      controller.abort(new Error('enough'));
      await world.settle();
      expect(page.error).toEqual(new Error('enough'));
    }
    await expect(client.history('r', { abort: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
      'before',
    );
  });

  it('acknowledge by default what was delivered, and say so where nothing was', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    await expect(room.ack()).rejects.toThrow(RoomcastError);
    await world.settle();
    world.socket.receive(
      ['ok', 1, { epoch: 'e', offset: 0, recovered: false }],
      ['message', 'r', 1, 1, null, 'a'],
    );
    void room.ack();
    await world.settle();
    expect(world.socket.commands('ack')).toEqual([['ack', 2, 'r', ['e', 1]]]);
  });
});
