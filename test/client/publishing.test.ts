import { describe, expect, it } from 'vitest';
import { ClosedError, QueueFullError, RefusedError, UnknownOutcomeError } from '../../src/client/errors.ts';
import { outcome, World } from './world.ts';

const STORED = { epoch: 'e', offset: 1 };

describe('publish', () => {
  it('sends the message under a random key, and resolves with its place', async () => {
    const world = new World();
    const client = await world.connected();
    const first = client.room('r').publish({ text: 'hi' });
    const second = client.publish('other', 2, { echo: false, conflateKey: 'c' });
    await world.settle();
    const [one, two] = world.socket.commands('publish');
    expect(one).toEqual(['publish', expect.any(Number), 'r', { text: 'hi' }, { key: expect.any(String) }]);
    expect(two?.[4]).toEqual({ key: expect.any(String), echo: false, conflateKey: 'c' });
    const [a, b] = [one, two].map((frame) => (frame?.[4] as { key: string } | undefined)?.key);
    expect(a).toMatch(/^[a-z0-9]{20}$/);
    expect(a).not.toBe(b);
    world.socket.receive(
      ['ok', two?.[1], { epoch: 'f', offset: 9, duplicate: true }],
      ['ok', one?.[1], STORED],
    );
    expect(await first).toEqual(STORED);
    expect(await second).toEqual({ epoch: 'f', offset: 9, duplicate: true });
    expect(client.pending).toBe(0);
  });

  it('takes the key that it is given', async () => {
    const world = new World();
    const client = await world.connected();
    void client.publish('r', 1, { key: 'order-7' });
    await world.settle();
    expect(world.socket.commands('publish')[0]?.[4]).toEqual({ key: 'order-7' });
  });

  it('encodes at once: what the caller changes later has no effect', async () => {
    const world = new World();
    const client = world.client();
    const data = { text: 'before' };
    void client.publish('r', data);
    data.text = 'after';
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish')[0]?.[3]).toEqual({ text: 'before' });
  });

  it('rejects what cannot be encoded, and queues nothing', async () => {
    const world = new World();
    const client = await world.connected();
    const circle: unknown[] = [];
    circle.push(circle);
    await expect(client.publish('r', circle)).rejects.toThrow(TypeError);
    expect(client.pending).toBe(0);
  });

  it('rejects with what the node says against it', async () => {
    const world = new World();
    const client = await world.connected();
    const published = client.publish('r', 1);
    await world.settle();
    world.socket.refuse('publish', 'forbidden');
    await expect(published).rejects.toEqual(new RefusedError('forbidden', 'no'));
  });

  it('rejects what is larger than the node accepts, instead of losing the connection over it', async () => {
    const world = new World();
    const client = await world.connected({}, { maxPayload: 1000 });
    await expect(client.publish('r', 'x'.repeat(1000))).rejects.toMatchObject({
      code: 'payload_too_large',
      message: expect.stringMatching(/takes 10\d\d bytes, and the node accepts 1000/),
    });
    void client.publish('r', 'x'.repeat(900));
    await world.settle();
    expect(world.socket.commands('publish')).toHaveLength(1);
  });
});

describe('what is published while there is no connection', () => {
  it('waits, and goes out in order, ahead of what is published later, in one WebSocket message', async () => {
    const world = new World();
    const client = world.client();
    for (let i = 0; i < 3; i++) void client.publish('r', i);
    await world.settle();
    expect(client.pending).toBe(3);
    world.socket.accept();
    void client.publish('r', 3);
    await world.settle();
    expect(world.socket.messages.map((frames) => frames.map((frame) => frame[3]))).toEqual([[0, 1, 2, 3]]);
  });

  it('leaves after the joins of its rooms', async () => {
    const world = new World();
    const client = world.client();
    void client.room('r').publish(1);
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.messages.map((frames) => frames.map(([type]) => type))).toEqual([
      ['join', 'publish'],
    ]);
  });

  it('is sent again under its key when the answer did not come, and keeps its place', async () => {
    const world = new World();
    const client = await world.connected();
    const results = [1, 2, 3].map((n) => outcome(client.publish('r', n)));
    await world.settle();
    const before = world.socket.commands('publish');
    world.socket.receive(['ok', before[1]?.[1], { epoch: 'e', offset: 2 }]);
    const socket = await world.reconnect();
    void client.publish('r', 4);
    await world.settle();
    const after = socket.commands('publish');
    expect(after.map((frame) => frame[3])).toEqual([1, 3, 4]);
    expect(after.slice(0, 2).map((frame) => frame[4])).toEqual([before[0]?.[4], before[2]?.[4]]);
    for (const frame of after) socket.receive(['ok', frame[1], STORED]);
    await world.settle();
    expect(results.map(({ value }) => value?.offset)).toEqual([1, 2, 1]);
  });

  it('is bounded by number: more is an error, and nothing is lost in silence', async () => {
    const world = new World();
    const client = world.client({ queue: { messages: 2 } });
    const [first, second] = [outcome(client.publish('r', 1)), outcome(client.publish('r', 2))];
    await expect(client.publish('r', 3)).rejects.toThrow(QueueFullError);
    await expect(client.publish('r', 3)).rejects.toThrow('holds 2 of 2 messages and 2 of 1048576 bytes');
    await world.settle();
    world.socket.accept();
    await world.settle();
    const [one] = world.socket.commands('publish');
    world.socket.receive(['ok', one?.[1], STORED]);
    await world.settle();
    expect([first, second]).toEqual([{ value: STORED }, {}]);
    void client.publish('r', 4);
    await world.settle();
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual([1, 2, 4]);
  });

  it('is bounded by bytes', async () => {
    const world = new World();
    const client = world.client({ queue: { bytes: 100 } });
    void client.publish('r', 'é'.repeat(40));
    await expect(client.publish('r', 'x'.repeat(20))).rejects.toThrow(QueueFullError);
    void client.publish('r', 'x'.repeat(10));
    expect(client.pending).toBe(2);
  });

  it('settles as unknown once nodes may have forgotten its key, and is not sent again', async () => {
    const world = new World();
    const client = await world.connected({}, { dedupWindowMs: 60_000 });
    const sent = outcome(client.publish('r', 'sent'));
    await world.settle();
    world.socket.drop();
    const unsent = outcome(client.publish('r', 'not sent'));
    world.refusal = new Error('no network');
    await world.pass(53_000);
    expect(sent).toEqual({});
    await world.pass(2000);
    expect(sent.error).toBeInstanceOf(UnknownOutcomeError);
    world.refusal = null;
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual(['not sent']);
    expect(unsent).toEqual({});
  });

  it('counts the time that the machine slept', async () => {
    const world = new World();
    const client = await world.connected({}, { dedupWindowMs: 60_000 });
    const sent = outcome(client.publish('r', 'sent'));
    await world.settle();
    world.socket.drop();
    world.scheduler.sleep(3_600_000);
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    expect(sent.error).toBeInstanceOf(UnknownOutcomeError);
    expect(world.socket.commands('publish')).toEqual([]);
  });

  it('settles as unknown where it is refused when it is sent again: it may have been stored before', async () => {
    const world = new World();
    const client = await world.connected();
    const sent = outcome(client.publish('r', 'sent'));
    await world.settle();
    world.socket.drop();
    const unsent = outcome(client.publish('r', 'not sent'));
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    for (let i = 0; i < 2; i++) {
      const [, id] = world.socket.commands('publish')[i] ?? [];
      world.socket.receive(['error', id, 'forbidden', 'you are kept out']);
      await world.settle();
    }
    expect(sent.error).toBeInstanceOf(UnknownOutcomeError);
    expect(String(sent.error)).toContain('forbidden: you are kept out');
    expect(unsent.error).toBeInstanceOf(RefusedError);
  });

  it('settles when the client closes: what was sent as unknown, the rest as closed', async () => {
    const world = new World();
    const client = await world.connected();
    const sent = outcome(client.publish('r', 1));
    await world.settle();
    world.socket.drop();
    const unsent = outcome(client.publish('r', 2));
    client.close();
    await world.settle();
    expect(sent.error).toBeInstanceOf(UnknownOutcomeError);
    expect(unsent.error).toBeInstanceOf(ClosedError);
  });
});

describe('a refusal that passes', () => {
  it.each(['rate_limited', 'unavailable', 'timeout', 'internal'])(
    '%s holds everything back for a while, and is tried again under the same key',
    async (code) => {
      const world = new World();
      const client = await world.connected();
      const first = outcome(client.publish('r', 1));
      await world.settle();
      world.socket.refuse('publish', code, { retryAfterMs: 2000 });
      void client.publish('r', 2);
      await world.pass(1900);
      expect(world.socket.commands('publish')).toHaveLength(1);
      await world.pass(400);
      const [before, again, ...others] = world.socket.commands('publish');
      expect([again?.[3], others]).toEqual([1, []]);
      expect(again?.[4]).toEqual(before?.[4]);
      world.socket.receive(['ok', again?.[1], STORED]);
      await world.settle();
      expect(first.value).toEqual(STORED);
      expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual([1, 1, 2]);
    },
  );

  it('is waited for longer and longer', async () => {
    const world = new World();
    const client = await world.connected();
    void client.publish('r', 1);
    await world.settle();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      const before = world.socket.commands('publish').length;
      world.socket.refuse('publish', 'unavailable');
      const began = world.scheduler.nowMs();
      while (world.socket.commands('publish').length === before) await world.pass(50);
      waits.push(Math.round((world.scheduler.nowMs() - began) / 50) * 50);
    }
    expect(waits).toEqual([100, 200, 400, 800, 1600, 2500, 2500]);
  });
});

describe('abort', () => {
  it('takes back what was not sent', async () => {
    const world = new World();
    const client = world.client();
    const controller = new AbortController();
    const published = outcome(client.publish('r', 1, { abort: controller.signal }));
    controller.abort(new Error('changed my mind'));
    await world.settle();
    expect(published.error).toEqual(new Error('changed my mind'));
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish')).toEqual([]);
    await expect(client.publish('r', 1, { abort: controller.signal })).rejects.toThrow('changed my mind');
  });

  it('leaves it unknown what was sent already', async () => {
    const world = new World();
    const client = await world.connected();
    const controller = new AbortController();
    const published = outcome(client.publish('r', 1, { abort: controller.signal }));
    await world.settle();
    controller.abort();
    await world.settle();
    expect(published.error).toBeInstanceOf(UnknownOutcomeError);
    world.socket.answer('publish', STORED);
    expect(client.pending).toBe(0);
  });
});

describe('signals', () => {
  it('are sent without a key and without an answer, by default not to oneself', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    await world.settle();
    expect(room.signal('typing')).toBe('sent');
    expect(room.signal('typing', { echo: true })).toBe('sent');
    await world.settle();
    expect(world.socket.commands('publish')).toEqual([
      ['publish', 0, 'r', 'typing', { ephemeral: true, echo: false }],
      ['publish', 0, 'r', 'typing', { ephemeral: true }],
    ]);
  });

  it('are dropped while there is no connection, and never sent later', async () => {
    const world = new World();
    const client = world.client();
    const room = client.room('r');
    expect(room.signal('typing')).toBe('dropped');
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish')).toEqual([]);
  });

  it('are dropped while the link cannot keep up', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.bufferedAmount = 1_000_000;
    expect(client.room('r').signal('cursor')).toBe('dropped');
  });

  it('are heard by listeners of the room', async () => {
    const world = new World();
    const client = await world.connected();
    const seen: unknown[] = [];
    client.room('r').on('signal', (signal) => seen.push(signal));
    await world.settle();
    world.socket.answer('join', { epoch: 'e', offset: 0, recovered: false });
    world.socket.receive(['signal', 'r', 5, 'ann', 'typing']);
    expect(seen).toEqual([{ room: 'r', time: 5, sender: 'ann', data: 'typing' }]);
  });
});
