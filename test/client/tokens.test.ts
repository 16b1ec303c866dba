import { describe, expect, it } from 'vitest';
import { Unauthorized } from '../../src/client/errors.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { TokenReason } from '../../src/client/tokens.ts';
import { World } from './world.ts';

const HOUR = 3_600_000;

/** Gives tokens t1, t2, … and writes down why each was asked for. */
class TokenServer {
  readonly asked: TokenReason[] = [];
  /** Thrown instead, while set. */
  failure: Error | null = null;

  readonly getToken = ({ reason }: { readonly reason: TokenReason }): string => {
    this.asked.push(reason);
    if (this.failure !== null) throw this.failure;
    return `t${this.asked.length}`;
  };
}

/** A client whose token was accepted, and how it got so far. */
async function authenticated(world: World, options: ClientOptions, lifeMs: number | null = HOUR) {
  const client = world.client(options);
  client.connect();
  await world.settle();
  world.socket.open();
  await world.settle();
  accept(world, lifeMs);
  await world.settle();
  return client;
}

function accept(world: World, lifeMs: number | null): void {
  const expiresAt = lifeMs === null ? null : world.scheduler.wallMs() + lifeMs;
  world.socket.answer('auth', { user: 'ann', expiresAt });
  if (world.socket.commands('auth').length > 1) return;
  world.socket.receive([
    'hello',
    { connection: 'c1', node: 'n1', user: 'ann', maxPayload: 65_536, silentAfterMs: 10 * HOUR },
  ]);
}

/** Time passes without a word from the node, and without a probe. */
const tokens = (world: World) =>
  world.sockets.map((socket) => socket.commands('auth').map((frame) => frame[2]));

describe('a token', () => {
  it('goes first, in an auth frame, and the connection may be used after it', async () => {
    const world = new World();
    const client = world.client({ token: 'secret' });
    client.room('r');
    await world.settle();
    expect(world.socket.url).toBe('ws://node.test/ws');
    world.socket.open();
    await world.settle();
    expect(world.socket.messages).toEqual([[['auth', 1, 'secret']]]);
    expect(client.status.state).toBe('connecting');
    accept(world, null);
    await world.settle();
    expect(client.status).toMatchObject({ state: 'connected', user: 'ann' });
    expect(world.socket.messages[1]).toEqual([['join', 2, 'r', {}]]);
  });

  it('makes an anonymous hello wait, and names the user', async () => {
    const world = new World();
    const client = world.client({ token: 'secret' });
    client.connect();
    await world.settle();
    world.socket.accept();
    await world.settle();
    expect(client.status.state).toBe('connecting');
    world.socket.answer('auth', { user: 'ann', expiresAt: null });
    expect(client.status).toMatchObject({ state: 'connected', user: 'ann' });
  });

  it('does no harm on a node without authentication', async () => {
    const world = new World();
    const client = world.client({ token: 'secret' });
    client.connect();
    await world.settle();
    world.socket.accept();
    await world.settle();
    world.socket.refuse('auth', 'bad_request');
    expect(client.status).toMatchObject({ state: 'connected', user: null });
  });

  it('that is refused closes the client with the reason', async () => {
    const world = new World();
    const client = world.client({ token: 'secret' });
    client.connect();
    await world.settle();
    world.socket.open();
    await world.settle();
    world.socket.refuse('auth', 'unauthorized');
    world.socket.drop(4501, 'unauthorized');
    expect(client.status).toMatchObject({ state: 'closed', code: 4501, reason: 'unauthorized: no' });
    await world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it('that cannot be checked now is tried again when the node says', async () => {
    const world = new World();
    const client = world.client({ token: 'secret' });
    client.connect();
    await world.settle();
    world.socket.open();
    await world.settle();
    world.socket.refuse('auth', 'unavailable', { retryAfterMs: 5000 });
    world.socket.drop(1013, 'try again later');
    const { retryAtMs } = client.status as { retryAtMs: number };
    expect(retryAtMs - world.scheduler.wallMs()).toBe(5000);
    await world.nextSocket();
  });

  it('that does not change ends the client when it has expired, since there is no other', async () => {
    const world = new World();
    const client = await authenticated(world, { token: 'secret' });
    await world.pass(HOUR);
    expect(tokens(world)).toEqual([['secret']]);
    world.socket.receive(['error', 0, 'token_expired', 'the token has expired']);
    world.socket.drop(4002, 'token expired');
    await world.pass(1000);
    expect(client.status).toMatchObject({
      state: 'closed',
      reason: 'the token has expired: pass getToken, which gets fresh ones',
    });
  });
});

describe('getToken', () => {
  it('is asked once, and its token kept for further connections', async () => {
    const world = new World();
    const server = new TokenServer();
    await authenticated(world, { getToken: server.getToken });
    world.socket.drop();
    await world.nextSocket();
    world.socket.open();
    await world.settle();
    expect(tokens(world)).toEqual([['t1'], ['t1']]);
    expect(server.asked).toEqual(['connect']);
  });

  it('refreshes the token at 80% of its life over the open connection, again and again', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    await world.pass(0.79 * HOUR);
    expect(server.asked).toEqual(['connect']);
    await world.pass(0.02 * HOUR);
    expect(server.asked).toEqual(['connect', 'refresh']);
    accept(world, HOUR);
    await world.settle();
    await world.pass(0.81 * HOUR);
    expect(tokens(world)).toEqual([['t1', 't2', 't3']]);
    expect(client.status.state).toBe('connected');
  });

  it('is asked for a fresh one after 4002', async () => {
    const world = new World();
    const server = new TokenServer();
    await authenticated(world, { getToken: server.getToken });
    world.socket.drop(4002, 'token expired');
    await world.nextSocket();
    world.socket.open();
    await world.settle();
    expect(tokens(world)).toEqual([['t1'], ['t2']]);
    expect(server.asked).toEqual(['connect', 'expired']);
  });

  it('is asked before connecting where the token has expired meanwhile', async () => {
    const world = new World();
    const server = new TokenServer();
    await authenticated(world, { getToken: server.getToken });
    world.scheduler.sleep(2 * HOUR);
    world.socket.drop();
    await world.nextSocket();
    expect(server.asked).toEqual(['connect', 'expired']);
  });

  it('is asked less and less often while nodes take every token for expired', async () => {
    const world = new World();
    const server = new TokenServer();
    world.client({ getToken: server.getToken }).connect();
    await world.settle();
    for (let i = 0; i < 8; i++) {
      world.socket.open();
      await world.settle();
      world.socket.refuse('auth', 'token_expired');
      world.socket.drop(4002, 'token expired');
      await world.nextSocket();
    }
    expect(world.scheduler.nowMs()).toBeGreaterThan(30_000);
    expect(server.asked.slice(1).every((reason) => reason === 'expired')).toBe(true);
  });

  it('is not asked in a loop where the clock is wrong', async () => {
    const world = new World();
    const server = new TokenServer();
    await authenticated(world, { getToken: server.getToken }, -HOUR);
    await world.pass(HOUR);
    expect(server.asked).toEqual(['connect']);
  });

  it('is called once at a time', async () => {
    const world = new World();
    const asked: string[] = [];
    const answers: ((token: string) => void)[] = [];
    const getToken = ({ reason }: { reason: string }) => {
      asked.push(reason);
      return new Promise<string>((answer) => answers.push(answer));
    };
    const client = world.client({ getToken });
    client.connect();
    await world.settle();
    answers[0]?.('t1');
    await world.settle();
    world.socket.open();
    await world.settle();
    accept(world, HOUR);
    await world.pass(0.81 * HOUR);
    expect(asked).toEqual(['connect', 'refresh']);
    world.socket.drop(4002, 'token expired');
    await world.pass(30_000);
    expect(asked).toEqual(['connect', 'refresh']);
    answers[1]?.('t2');
    await world.settle();
    world.socket.open();
    await world.settle();
    expect(tokens(world)).toEqual([['t1'], ['t2']]);
  });

  it('that fails is asked again, for a connection', async () => {
    const world = new World();
    const server = new TokenServer();
    server.failure = new Error('the server is away');
    const client = world.client({ getToken: server.getToken });
    client.connect();
    await world.settle();
    expect(client.status).toMatchObject({ state: 'waiting', reason: 'no token: the server is away' });
    server.failure = null;
    await world.nextSocket();
  });

  it('that fails is asked again, for a refresh, and the connection lives', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    server.failure = new Error('the server is away');
    await world.pass(0.81 * HOUR);
    expect(world.errors).toEqual([new Error('the server is away')]);
    server.failure = null;
    await world.pass(0.1 * HOUR);
    expect(server.asked).toEqual(['connect', 'refresh', 'refresh']);
    expect(tokens(world)).toEqual([['t1', 't3']]);
    expect(client.status.state).toBe('connected');
  });

  it.each([
    [
      'for a connection',
      async (world: World, server: TokenServer) => {
        const client = world.client({ getToken: server.getToken });
        client.connect();
        await world.settle();
        return client;
      },
    ],
    [
      'for a refresh',
      async (world: World, server: TokenServer) => {
        server.failure = null;
        const client = await authenticated(world, { getToken: server.getToken });
        server.failure = new Unauthorized('signed out');
        await world.pass(0.81 * HOUR);
        return client;
      },
    ],
  ])('that throws Unauthorized %s ends the client', async (_when, act) => {
    const world = new World();
    const server = new TokenServer();
    server.failure = new Unauthorized('signed out');
    const client = await act(world, server);
    expect(client.status).toMatchObject({ state: 'closed', reason: 'signed out', code: null });
    const { length } = server.asked;
    await world.pass(HOUR);
    expect(server.asked).toHaveLength(length);
    expect(world.scheduler.timers).toBe(0);
  });

  it('is not asked after close, and its late answer opens nothing', async () => {
    const world = new World();
    let answer: (token: string) => void = () => undefined;
    const client = world.client({ getToken: () => new Promise((done) => (answer = done)) });
    client.connect();
    await world.settle();
    client.close();
    answer('t1');
    await world.pass(60_000);
    expect(world.sockets).toEqual([]);
  });

  it.each(['', undefined, 7])('that returns %j is told so', async (token) => {
    const world = new World();
    const client = world.client({ getToken: () => token as string });
    client.connect();
    await world.settle();
    expect(client.status).toMatchObject({ reason: 'no token: getToken returned no token' });
  });
});

describe('a token that the server revokes', () => {
  async function revoke(world: World): Promise<void> {
    world.socket.receive(['error', 0, 'token_revoked', 'the server has revoked this token']);
    world.socket.drop(4505, 'token revoked');
    await world.settle();
  }

  /** What a node does with a new connection whose token it does not take. */
  async function refuse(world: World): Promise<void> {
    await world.nextSocket();
    world.socket.open();
    await world.settle();
    world.socket.refuse('auth', 'token_revoked');
    world.socket.drop(4505, 'token revoked');
    await world.settle();
  }

  const CLOSED = { state: 'closed', code: 4505 };

  it('ends a client that has no other', async () => {
    const world = new World();
    const client = await authenticated(world, { token: 'secret' });
    await revoke(world);
    expect(client.status).toMatchObject({
      ...CLOSED,
      reason: 'token_revoked: the server has revoked this token',
    });
    await world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
  });

  it('is replaced by another one of getToken, as often as the server revokes one that was good', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    for (let n = 0; n < 3; n++) {
      await revoke(world);
      expect(client.status.state).toBe('waiting');
      await world.nextSocket();
      world.socket.open();
      await world.settle();
      accept(world, HOUR);
      await world.settle();
      expect(client.status.state).toBe('connected');
    }
    expect(tokens(world)).toEqual([['t1'], ['t2'], ['t3'], ['t4']]);
    expect(server.asked).toEqual(['connect', 'revoked', 'revoked', 'revoked']);
  });

  it('ends a client whose getToken gives the same again: nothing is tried', async () => {
    const world = new World();
    const client = await authenticated(world, { getToken: () => 'secret' });
    await revoke(world);
    await world.pass(60_000);
    expect(client.status).toMatchObject({ ...CLOSED, reason: expect.stringContaining('the same one again') });
    expect(world.sockets).toHaveLength(1);
  });

  it('of a user that is blocked costs one more attempt', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    await revoke(world);
    await refuse(world);
    await world.pass(60_000);
    expect(client.status).toMatchObject(CLOSED);
    expect(server.asked).toEqual(['connect', 'revoked']);
    expect(world.sockets).toHaveLength(2);
  });

  it('is asked for again while getToken fails, and never presented again', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    server.failure = new Error('away');
    await revoke(world);
    await world.pass(60_000);
    expect(client.status.state).toBe('waiting');
    expect(world.sockets).toHaveLength(1);
    server.failure = null;
    await world.nextSocket();
    world.socket.open();
    await world.settle();
    expect(tokens(world)[1]).not.toEqual(['t1']);
  });

  it('ends a client whose getToken says that there is no access any more', async () => {
    const world = new World();
    const server = new TokenServer();
    const client = await authenticated(world, { getToken: server.getToken });
    server.failure = new Unauthorized('signed out');
    await revoke(world);
    await world.pass(60_000);
    expect(client.status).toMatchObject({ ...CLOSED, reason: 'signed out' });
  });
});
