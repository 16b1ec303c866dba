/** Applications and nodes at their worst: what is called in the middle of something else, and what comes that should not. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BaseClient } from '../../src/client/client.ts';
import { outcome, World } from './world.ts';

const JOINED = { epoch: 'e', offset: 0, recovered: false };
const rejections: unknown[] = [];
const noteRejection = (reason: unknown) => rejections.push(reason);

beforeEach(() => {
  rejections.length = 0;
  process.on('unhandledRejection', noteRejection);
});

afterEach(async () => {
  // Node tells of them in a later turn.
  await new Promise((done) => setImmediate(done));
  process.off('unhandledRejection', noteRejection);
  expect(rejections).toEqual([]);
});

/** A client in a room that has caught up. */
async function inRoom(world: World, hello: object = {}) {
  const client = await world.connected({}, hello);
  const room = client.room('r');
  await world.settle();
  world.socket.answer('join', JOINED);
  return { client, room };
}

/** Nothing of it is left, and nothing comes back. */
async function expectEnd(world: World, client: BaseClient, sockets = world.sockets.length) {
  await world.settle();
  expect(client.status).toMatchObject({ state: 'closed', reason: 'close() was called' });
  await world.pass(100_000);
  world.page.tell('back');
  await world.pass(100_000);
  expect(client.status.state).toBe('closed');
  expect(world.scheduler.timers).toBe(0);
  expect(world.page.watchers).toBe(0);
  expect(world.sockets).toHaveLength(sockets);
}

describe('close() inside a listener', () => {
  it.each(['connecting', 'connected', 'waiting'])('of the status %s is final', async (state) => {
    const world = new World();
    let asked = 0;
    const client = world.client({ getToken: () => `t${++asked}` });
    client.onStatus((status) => status.state === state && client.close());
    const stored = outcome(client.publish('r', 1));
    const page = outcome(client.history('r'));
    await world.settle();
    if (state !== 'connecting') {
      world.socket.open();
      await world.settle();
      world.socket.answer('auth', { user: 'ann', expiresAt: null });
      world.socket.receive(['hello', { connection: 'c', node: 'n', user: 'ann', maxPayload: 1000 }]);
      await world.settle();
      world.socket.drop();
    } else expect(asked).toBe(0);
    await expectEnd(world, client);
    expect(page.error).toMatchObject({ name: 'ClosedError' });
    expect((stored.error as Error).name).toBe(state === 'connecting' ? 'ClosedError' : 'UnknownOutcomeError');
    expect(client.pending).toBe(0);
  });

  it.each(['joining', 'catching-up', 'joined', 'waiting'])('of the room state %s is final', async (state) => {
    const world = new World();
    const client = world.client();
    const room = client.room('r');
    room.on('state', (now) => now === state && client.close());
    await world.settle();
    world.socket.accept();
    await world.settle();
    if (!world.socket.isClosed) world.socket.answer('join', JOINED);
    if (!world.socket.isClosed) world.socket.drop();
    await expectEnd(world, client);
    expect(room.state).toBe('left');
  });

  it.each([
    ['message', ['message', 'r', 1, 1, null, 1]],
    ['signal', ['signal', 'r', 1, null, 1]],
    ['gap', ['gap', 'r', 1, 2]],
    ['reset', ['reset', 'r', 'f', 0]],
    ['removed', ['removed', 'r', 'rude']],
  ] as const)(
    'of %s is final, and nothing of the same WebSocket message is heard after it',
    async (event, frame) => {
      const world = new World();
      const { client, room } = await inRoom(world);
      let heard = 0;
      room.on(event, () => {
        heard++;
        client.close();
      });
      world.socket.receive(frame, frame, ['message', 'r', 9, 1, null, 9]);
      await expectEnd(world, client);
      expect(heard).toBe(1);
    },
  );

  it('settles what a listener publishes while the client closes', async () => {
    const world = new World();
    const { client, room } = await inRoom(world);
    const late: { error?: unknown }[] = [];
    const more = () => late.push(outcome(client.publish('r', 1)), outcome(client.history('r')));
    client.onStatus(more);
    room.on('state', more);
    client.close();
    await expectEnd(world, client);
    expect(late.length).toBeGreaterThanOrEqual(4);
    for (const { error } of late) expect(error).toMatchObject({ name: 'ClosedError' });
  });
});

describe('dropConnection() inside a listener', () => {
  it('of a room while its client gets connected leaves the status true', async () => {
    const world = new World();
    const client = world.client();
    const room = client.room('r');
    const off = room.on('state', (state) => {
      if (state === 'joining') client.dropConnection();
    });
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'dropConnection() was called' });
    off();
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    expect(client.status.state).toBe('connected');
    expect(world.socket.commands('join')).toHaveLength(1);
  });
});

describe('leave()', () => {
  it('inside the listener that hears of the join leaves after it, not before', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    room.on('state', (state) => state === 'joining' && room.leave());
    world.socket.drop();
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    expect(world.socket.sent.map(([type]) => type)).toEqual(['join', 'leave']);
  });

  it('while the join is on its way leaves after it, and what comes is not heard', async () => {
    const world = new World();
    const client = await world.connected();
    const room = client.room('r');
    const heard: unknown[] = [];
    room.on('message', ({ data }) => heard.push(data));
    await world.settle();
    room.leave();
    await world.settle();
    expect(world.socket.sent.map(([type]) => type)).toEqual(['join', 'leave']);
    world.socket.receive(['ok', world.socket.idOf('join'), JOINED], ['message', 'r', 1, 1, null, 1]);
    expect(heard).toEqual([]);
    expect(room.state).toBe('left');
    await expect(room.setPresence({})).rejects.toThrow('the room r was left');
  });
});

describe('a listener', () => {
  it('whose promise rejects is reported as one that throws', async () => {
    const world = new World();
    const { client, room } = await inRoom(world);
    const broken = new Error('in an async listener');
    room.on('message', async () => {
      throw broken;
    });
    client.onStatus(() => Promise.reject(broken));
    world.socket.receive(['message', 'r', 1, 1, null, 1]);
    world.socket.drop();
    await world.settle();
    expect(world.errors).toEqual([broken, broken]);
  });

  it('for debugging that throws costs no connection', async () => {
    const world = new World();
    const broken = new Error('in debug');
    const client = await world.connected({
      debug: () => {
        throw broken;
      },
    });
    client.room('r');
    await world.settle();
    expect(client.status.state).toBe('connected');
    expect(world.errors).toEqual([broken, broken]);
  });
});

describe('an abort', () => {
  it('before the call sends nothing and leaves no rejection that nobody handles', async () => {
    const world = new World();
    const client = await world.connected();
    const abort = AbortSignal.abort(new Error('too late'));
    await expect(client.history('r', { abort })).rejects.toThrow('too late');
    await expect(client.listMembers('r', { abort })).rejects.toThrow('too late');
    await expect(client.publish('r', 1, { abort })).rejects.toThrow('too late');
    await world.settle();
    expect(world.socket.sent).toEqual([]);
    world.socket.drop();
  });

  it('of a request on its way leaves its late refusal, and the loss of its connection, to nobody', async () => {
    const world = new World();
    const client = await world.connected();
    for (const end of ['refuse', 'drop'] as const) {
      const abort = new AbortController();
      const page = client.history('r', { abort: abort.signal });
      await world.settle();
      abort.abort(new Error('enough'));
      await expect(page).rejects.toThrow('enough');
      if (end === 'refuse') world.socket.refuse('history', 'forbidden');
      else world.socket.drop();
    }
  });

  it('of a publish whose answer was lost leaves it unknown, and it is not sent again', async () => {
    const world = new World();
    const client = await world.connected();
    const abort = new AbortController();
    const stored = client.publish('r', 1, { abort: abort.signal });
    await world.settle();
    world.socket.drop();
    abort.abort();
    await expect(stored).rejects.toMatchObject({ name: 'UnknownOutcomeError' });
    await world.nextSocket();
    world.socket.accept();
    await world.settle();
    expect(world.socket.commands('publish')).toEqual([]);
  });

  it('between a refusal that passes and the next try is the reason itself: nothing was stored', async () => {
    const world = new World();
    const client = await world.connected();
    const abort = new AbortController();
    const stored = client.publish('r', 1, { abort: abort.signal });
    await world.settle();
    world.socket.refuse('publish', 'unavailable');
    abort.abort(new Error('enough'));
    await expect(stored).rejects.toThrow('enough');
    await world.pass(10_000);
    expect(world.socket.commands('publish')).toHaveLength(1);
  });
});

describe('what cannot be sent', () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;

  it.each([
    ['a signal', 'x'.repeat(1000)],
    ['presence data', 'x'.repeat(1000)],
  ])(
    '(%s that is larger than the node accepts) is refused here, and the connection lives',
    async (what, data) => {
      const world = new World();
      const { client, room } = await inRoom(world, { maxPayload: 1000 });
      const refused = { code: 'payload_too_large' };
      if (what === 'a signal') {
        expect(() => room.signal(data)).toThrow(expect.objectContaining(refused));
      } else await expect(room.setPresence(data)).rejects.toMatchObject(refused);
      const sent = world.socket.sent.length;
      await world.settle();
      expect(world.socket.sent).toHaveLength(sent);
      expect(client.status.state).toBe('connected');
    },
  );

  it.each([
    ['too large', 'x'.repeat(1000), 'payload_too_large'],
    ['circular', circular, 'bad_request'],
    ['no JSON', { big: 1n }, 'bad_request'],
  ])('as presence of a join (%s) refuses the room, not the connection', async (_what, presence, code) => {
    const world = new World();
    const client = world.client();
    const room = client.room('r', { presence });
    const refusals: unknown[] = [];
    room.on('refused', (error) => refusals.push(error.code));
    await world.settle();
    world.socket.accept({ maxPayload: 1000 });
    await world.settle();
    expect(refusals).toEqual([code]);
    expect(room.state).toBe('refused');
    expect(client.status.state).toBe('connected');
  });

  it('leaves what waits behind it alone', async () => {
    const world = new World();
    const client = world.client();
    const stored = [1, 'x'.repeat(1000), 2].map((data) => outcome(client.publish('r', data)));
    await world.settle();
    world.socket.accept({ maxPayload: 1000, limits: {} });
    await world.settle();
    expect(world.socket.commands('publish').map((frame) => frame[3])).toEqual([1, 2]);
    expect(stored[1]?.error).toMatchObject({ code: 'payload_too_large' });
    expect(client.pending).toBe(2);
  });

  it('of a thousand rooms is split into WebSocket messages that the node accepts', async () => {
    const world = new World();
    const client = world.client();
    for (let n = 0; n < 1000; n++) client.room(`${n}:${'n'.repeat(100)}`);
    await world.settle();
    world.socket.accept({ maxPayload: 1000, limits: {} });
    await world.settle();
    const sizes = world.socket.messages.map(
      (frames) => frames.map((frame) => JSON.stringify(frame)).join('\n').length,
    );
    expect(world.socket.commands('join')).toHaveLength(1000);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1000);
  });
});

describe('an error that answers no request', () => {
  const refusal = ['error', 0, 'rate_limited', 'slow down', { retryAfterMs: 60_000 }] as const;

  it('is not the reason of a link that breaks later, and not how long to wait then', async () => {
    const world = new World();
    world.scheduler.chance = 0.5;
    const client = await world.connected();
    world.socket.receive(refusal);
    await world.pass(6_000);
    world.socket.drop();
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'the connection was lost (1006)' });
    expect((client.status as { retryAtMs: number }).retryAtMs - world.scheduler.wallMs()).toBeLessThan(1_000);
  });

  it('is not the reason where the node went on after it', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.receive(refusal, ['message', 'x', 1, 1, null, 1], ['bye', 1012, { reconnectAfterMs: 5 }]);
    world.socket.drop(1012, 'restarting');
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'restarting' });
  });

  it('is the reason where the node ended the connection over it', async () => {
    const world = new World();
    const client = await world.connected();
    world.socket.receive(refusal);
    world.socket.drop(4009, 'rate limit');
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'rate_limited: slow down' });
    expect((client.status as { retryAtMs: number }).retryAtMs - world.scheduler.wallMs()).toBe(60_000);
  });
});

describe('a node', () => {
  it('that says bye without details, or to wait for ever, is come back to', async () => {
    for (const details of ['null', '{}', '{"reconnectAfterMs":1e300}', '{"reconnectAfterMs":-1}']) {
      const world = new World();
      const client = await world.connected();
      world.socket.receiveText(`["bye",1012,${details}]`);
      world.socket.drop(1012);
      expect(client.status.state, details).toBe('waiting');
      client.close();
      expect(world.scheduler.timers).toBe(0);
    }
  });

  it('that answers in another order, twice, or what was not asked does no harm', async () => {
    const world = new World();
    const client = await world.connected();
    const [one, two] = [1, 2].map((data) => outcome(client.publish('r', data)));
    await world.settle();
    const [first, second] = world.socket.commands('publish').map((frame) => frame[1] as number);
    world.socket.receive(
      ['ok', second!, { epoch: 'e', offset: 2 }, 'trailing', ['elements']],
      ['ok', second!, { epoch: 'e', offset: 7 }],
      ['error', second!, 'forbidden', 'no'],
      ['ok', 12345, {}],
      ['error', 12345, 'forbidden', 'no'],
      ['hello', { connection: 'again', node: 'n', user: null, maxPayload: 65_536 }],
      ['ok', first!, { epoch: 'e', offset: 1 }],
    );
    await world.settle();
    expect([one?.value, two?.value]).toEqual([
      { epoch: 'e', offset: 1 },
      { epoch: 'e', offset: 2 },
    ]);
    expect(client.status.state).toBe('connected');
    expect(client.pending).toBe(0);
  });

  it('that sends a gigantic frame is read, and one that nests without end ends the connection alone', async () => {
    const world = new World();
    const { client, room } = await inRoom(world);
    const heard: number[] = [];
    room.on('message', ({ data }) => heard.push((data as string).length));
    world.socket.receive(['message', 'r', 1, 1, null, 'x'.repeat(8_000_000), 'trailing']);
    expect(heard).toEqual([8_000_000]);
    world.socket.receiveText('['.repeat(1_000_000));
    expect(client.status.state).toBe('waiting');
  });
});

describe('a loop over the messages of a room', () => {
  it.each(['refused', 'removed'] as const)(
    'that begins after the room was %s ends at once with the reason',
    async (how) => {
      const world = new World();
      const client = await world.connected();
      const room = client.room('r');
      room.on('refused', () => undefined);
      await world.settle();
      if (how === 'refused') world.socket.refuse('join', 'forbidden');
      else {
        world.socket.answer('join', JOINED);
        world.socket.receive(['removed', 'r', 'rude']);
      }
      await expect(client.room('r').messages().next()).rejects.toThrow(
        how === 'refused' ? 'forbidden' : 'rude',
      );
      room.rejoin();
      await world.settle();
      world.socket.answer('join', JOINED);
      const next = room.messages().next();
      world.socket.receive(['message', 'r', 1, 1, null, 'again']);
      expect((await next).value).toMatchObject({ data: 'again' });
    },
  );

  it('that throws or returns leaves no listener behind', async () => {
    const world = new World();
    const { room } = await inRoom(world);
    for (let n = 1; n <= 3; n++) {
      const loop = (async () => {
        for await (const { data } of room)
          if (n === 1) throw new Error(`on ${data}`);
          else if (n === 2) return data;
          else break;
        return 'broken';
      })();
      world.socket.receive(['message', 'r', n, 1, null, n]);
      await (n === 1
        ? expect(loop).rejects.toThrow('on 1')
        : expect(loop).resolves.toBe(n === 2 ? 2 : 'broken'));
    }
    // A listener that was left behind would fill its buffer, and end with an error that nobody handles.
    for (let n = 4; n < 1_100; n++) world.socket.receive(['message', 'r', n, 1, null, n]);
    await world.settle();
  });
});

describe('signals', () => {
  it('are dropped where the node would refuse them, and sent again when it would not', async () => {
    const world = new World();
    const limits = { commandsPerSecond: 10, commandBurst: 10, bytesPerSecond: 0 };
    const { room } = await inRoom(world, { limits });
    const outcomes = Array.from({ length: 100 }, (_, n) => room.signal(n));
    expect(outcomes.filter((sent) => sent === 'sent').length).toBeLessThanOrEqual(10);
    expect(outcomes.at(-1)).toBe('dropped');
    await world.pass(2_000);
    expect(room.signal('again')).toBe('sent');
  });
});

describe('Unauthorized', () => {
  it('closes the client whichever copy of the package it comes from', async () => {
    const world = new World();
    class Unauthorized extends Error {
      override readonly name = 'Unauthorized';
    }
    const client = world.client({
      getToken: () => {
        throw new Unauthorized('signed out');
      },
    });
    client.connect();
    await world.settle();
    expect(client.status).toMatchObject({ state: 'closed', reason: 'signed out' });
  });
});

describe('a list of URLs', () => {
  it('in which one is bad never stops the client, however often it comes to it', async () => {
    const world = new World();
    const client = world.client({}, ['ws://bad.test', 'ws://good.test']);
    client.connect();
    await world.settle();
    for (let n = 0; n < 5; n++) {
      expect(world.socket.url).toContain('bad.test');
      world.socket.drop();
      await world.nextSocket();
      world.socket.accept();
      await world.settle();
      expect(client.status.state).toBe('connected');
      world.socket.drop();
      await world.nextSocket();
    }
  });
});
