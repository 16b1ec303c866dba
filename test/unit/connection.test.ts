import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Authenticator, AuthFailure, type Identity } from '../../src/auth/identity.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { msgpackCodec } from '../../src/protocol/codec.ts';
import { unpackValue } from '../../src/protocol/msgpack/values.ts';
import { HELLO_FACTS } from '../support/hello-facts.ts';
import { Session } from '../support/session.ts';

const types = (session: Session) => session.socket.frames.map(([type]) => type);
const ids = (session: Session) => session.socket.frames.map(([, id]) => id);

describe.each(['msgpack', 'json'] as const)('a %s connection', (encoding) => {
  it('says hello when it is welcomed, with its id and the limits', () => {
    const session = new Session({ encoding });
    session.connection.welcome();
    expect(session.socket.sent).toEqual([]);
    session.endTurn();
    const info = { connection: 'node0001-z', node: 'node0001', user: null, heartbeatMs: 25_000 };
    expect(session.socket.frames).toEqual([
      ['hello', { ...info, maxPayload: 65_536, version: 1, ...HELLO_FACTS }],
    ]);
  });

  it('joins what one turn brought into one message, sent in one cork', () => {
    const session = new Session({ encoding });
    session.connection.welcome();
    session.receive(['ping', 1], ['publish', 2, 'a', 'x']);
    session.receive(['leave', 3, 'a']);
    session.endTurn();
    expect(session.socket.messages).toHaveLength(1);
    expect(session.socket.corks).toBe(1);
    expect(types(session)).toEqual(['hello', 'ok', 'ok', 'error']);
    session.endTurn();
    expect(session.socket.sent).toHaveLength(1);
  });

  it('splits what is long into messages of about 16 KiB, in order', () => {
    const session = new Session({ encoding });
    for (let id = 1; id <= 50; id++) session.connection.fail(id, 'internal', 'x'.repeat(1000));
    session.connection.fail(51, 'internal', 'x'.repeat(40_000));
    session.connection.fail(52, 'internal', 'short');
    session.endTurn();
    expect(ids(session)).toEqual(Array.from({ length: 52 }, (_, at) => at + 1));
    const sizes = session.socket.sent.map(({ length }) => length);
    expect(sizes.map((size) => size > 16 * 1024)).toEqual([false, false, false, false, true, false]);
  });
});

describe.each([
  ['msgpack', 'text', false, 'speaks MessagePack'],
  ['json', 'binary', true, 'speaks JSON'],
] as const)('a %s connection that is sent a %s message', (encoding, _, isBinary, reason) => {
  it.each([
    ['of one command', '["ping",1]'],
    ['of many', '["ping",1]\n'.repeat(5000)],
    ['that is empty', ''],
    ['that means nothing', '\u00e9\u0001{'],
  ])('%s answers one error, and lives', (_name, text) => {
    const session = new Session({ encoding });
    session.connection.receive(Buffer.from(text), isBinary);
    session.receive(['ping', 2]);
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['error', 0, 'bad_frame', expect.stringContaining(reason)],
      ['ok', 2, {}],
    ]);
    expect(session.socket.ends).toEqual([]);
  });

  it('a hundred and one times in a row is closed with 4504', () => {
    const session = new Session({ encoding });
    for (let n = 0; n < 101; n++) session.connection.receive(Buffer.from('["ping",1]'), isBinary);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4504]);
  });
});

describe('a connection', () => {
  it('sends the reply of a join, and what was queued before it, ahead of the room messages of the turn', () => {
    const session = new Session();
    session.receive(['ping', 1], ['join', 2, 'a']);
    session.flushQueue.flushFirst();
    expect(ids(session)).toEqual([1, 2]);
    session.receive(['ping', 3]);
    session.flushQueue.flushFirst();
    expect(ids(session)).toEqual([1, 2]);
    session.flushQueue.flushRest();
    expect(ids(session)).toEqual([1, 2, 3]);
  });

  it('answers a command with id 0 only where it fails', () => {
    const session = new Session();
    session.receive(['ping', 0], ['publish', 0, 'a', 1], ['join', 0, 'a'], ['leave', 0, 'a']);
    session.endTurn();
    expect(session.socket.frames).toEqual([['error', 0, 'not_joined', expect.any(String)]]);
  });

  it('answers `internal` where a handler throws, and lives', () => {
    const session = new Session();
    session.receive(['join', 1, 'broken'], ['ping', 2]);
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['error', 1, 'internal', expect.any(String)],
      ['ok', 2, {}],
    ]);
    expect(session.socket.ends).toEqual([]);
  });

  it('is closed with 1007 for what cannot be decoded, after the replies to what could', () => {
    const session = new Session();
    session.receiveBytes(new Uint8Array([0x92, 0xa4, 0x70, 0x69, 0x6e, 0x67, 7, 0xc1]));
    expect(session.socket.frames).toEqual([['ok', 7, {}]]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([1007]);
  });

  it('is closed with 4504 for the hundredth and first malformed frame in a row', () => {
    const session = new Session({ encoding: 'json' });
    const malformed = (count: number) => session.receiveBytes(Buffer.from('[]\n'.repeat(count)));
    malformed(100);
    session.receive(['ping', 1]);
    malformed(100);
    expect(session.socket.ends).toEqual([]);
    malformed(1);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4504]);
    expect(session.socket.frames).toHaveLength(202);
  });

  it('sends and takes nothing once it is closed', () => {
    const session = new Session();
    session.receive(['ping', 1]);
    session.connection.close({ code: 1001, reason: 'going away' });
    expect(ids(session)).toEqual([1]);
    session.receive(['publish', 2, 'a', 1]);
    session.connection.fail(3, 'internal', 'late');
    session.connection.close({ code: 4503, reason: 'again' });
    session.endTurn();
    expect(ids(session)).toEqual([1]);
    expect(session.node.published).toEqual([]);
    expect(session.socket.ends).toEqual([{ code: 1001, reason: 'going away' }]);
  });

  it('is closed with 4010 and dropped when its peer is silent', () => {
    const session = new Session();
    session.connection.silent();
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4010]);
    expect(session.socket.isDestroyed).toBe(true);
    expect(session.metrics.connections.heartbeatTimeouts).toBe(1);
  });
});

describe('a connection over its rate', () => {
  it('is told when a command passes again, and not a millisecond too late', () => {
    const session = new Session({ rate: [10, 2] });
    session.receive(['ping', 1], ['ping', 2], ['ping', 3]);
    session.endTurn();
    session.clock.advance(30);
    session.receive(['ping', 4]);
    session.endTurn();
    session.clock.advance(70);
    session.receive(['ping', 5]);
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['ok', 1, {}],
      ['ok', 2, {}],
      [
        'error',
        3,
        'rate_limited',
        expect.any(String),
        { retryAfterMs: 100, limit: 'limits.commandsPerSecond' },
      ],
      [
        'error',
        4,
        'rate_limited',
        expect.any(String),
        { retryAfterMs: 70, limit: 'limits.commandsPerSecond' },
      ],
      ['ok', 5, {}],
    ]);
    expect(session.metrics.commands.rateLimited).toBe(2);
  });

  it('is closed with 4009 when it answers refusals with more commands', () => {
    const session = new Session({ rate: [1, 1], maxRefusals: 3 });
    for (let id = 1; id <= 10; id++) session.receive(['ping', id]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4009]);
    expect(types(session)).toEqual(['ok', 'error', 'error', 'error', 'error']);
  });

  it('stays while it is refused now and then', () => {
    const session = new Session({ rate: [1, 1], maxRefusals: 3 });
    for (let second = 0; second < 15; second++) {
      for (let id = 1; id <= 2; id++) session.receive(['ping', id]);
      session.endTurn();
      session.clock.advance(1000);
    }
    expect(session.metrics.commands.rateLimited).toBe(15);
    expect(session.socket.ends).toEqual([]);
  });

  it('is closed with 4009 for refusals that accepted commands stand between', () => {
    const session = new Session({ rate: [1, 1], maxRefusals: 5 });
    for (let second = 0; second < 5; second++) {
      for (let id = 1; id <= 4; id++) session.receive(['ping', id]);
      session.endTurn();
      session.clock.advance(1000);
    }
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4009]);
    expect(session.metrics.connections.floods.commands).toBe(1);
  });

  it('is not taken for one that breaks the protocol', () => {
    const session = new Session({ encoding: 'json', rate: [1, 1], maxRefusals: 500 });
    for (let id = 1; id <= 200; id++) session.receive(['ping', id]);
    session.clock.advance(1000);
    session.receiveBytes(Buffer.from('[]'));
    expect(session.socket.ends).toEqual([]);
  });
});

describe.each(['msgpack', 'json'] as const)('a %s connection that sends too much', (encoding) => {
  const closes = (session: Session) => session.socket.ends.map(({ code }) => code);
  const pings = (count: number) => Array.from({ length: count }, (_, id) => ['ping', id + 1] as const);

  it('is closed with 4009 for messages without a command', () => {
    const session = new Session({ encoding });
    for (let sent = 1; sent <= 1000; sent++) session.receiveBytes(new Uint8Array());
    expect(closes(session)).toEqual([]);
    session.receiveBytes(new Uint8Array());
    expect(closes(session)).toEqual([4009]);
    expect(session.metrics.connections.floods.messages).toBe(1);
    expect(session.socket.frames).toEqual([['error', 0, 'rate_limited', expect.any(String)]]);
  });

  it('is closed with 4009 for pings and pongs, and not for those of a day', () => {
    const session = new Session({ encoding });
    for (let second = 0; second < 86_400; second++) {
      session.connection.controlFrame();
      session.clock.advance(1000);
    }
    expect(closes(session)).toEqual([]);
    for (let sent = 1; sent <= 1001; sent++) session.connection.controlFrame();
    expect(closes(session)).toEqual([4009]);
    expect(session.metrics.connections.floods.control_frames).toBe(1);
  });

  it('has no more decoded of a message than it may send', () => {
    const session = new Session({ encoding, rate: [10, 20] });
    session.receive(...pings(4000));
    expect(closes(session)).toEqual([4009]);
    // Twenty pass, a hundred are refused, and the one after those ends it.
    expect(session.socket.frames).toHaveLength(121);
    expect(session.metrics.commands).toMatchObject({ rateLimited: 101, received: { ping: 20 } });
  });

  it('has every command answered where no rate is set, however many one turn brings', () => {
    const session = new Session({ encoding });
    for (let message = 1; message <= 5; message++) session.receive(...pings(4000));
    for (let turn = 1; turn <= 21; turn++) session.endTurn();
    while (session.connection.isPaused) session.endTurn();
    expect(closes(session)).toEqual([]);
    expect(session.metrics.commands.received.ping).toBe(20_000);
  });

  it('is closed with 4009 for bytes of one turn where no rate is set', () => {
    const session = new Session({ encoding });
    const publish = ['publish', 1, 'a', 'x'.repeat(60_000)] as const;
    for (let turn = 1; turn <= 3; turn++) {
      for (let sent = 1; sent <= 30; sent++) session.receive(publish);
      session.endTurn();
    }
    expect(closes(session)).toEqual([]);
    for (let sent = 1; sent <= 70; sent++) session.receive(publish);
    expect(closes(session)).toEqual([4009]);
    expect(session.metrics.connections.floods.bytes).toBe(1);
  });

  it('is told when bytes pass again, and each of its commands is answered', () => {
    const limits = { bytesPerSecond: 10_000, byteBurst: 70_000 };
    const session = new Session({ encoding, limits });
    session.receive(['publish', 1, 'a', 'x'.repeat(60_000)]);
    session.receive(['publish', 2, 'a', 'x'.repeat(15_000)], ['ping', 3]);
    session.receive(['ping', 4]);
    session.endTurn();
    const refused = session.socket.frames.filter(([type]) => type === 'error');
    const details = { retryAfterMs: expect.any(Number), limit: 'limits.bytesPerSecond' };
    expect(refused).toEqual([
      ['error', 2, 'rate_limited', 'too many bytes a second: limits.bytesPerSecond is 10000', details],
      ['error', 3, 'rate_limited', expect.any(String), refused[0]![4]],
    ]);
    expect(session.node.published).toHaveLength(1);
    expect(session.metrics.traffic.messagesRateLimited).toBe(1);
    session.clock.advance((refused[0]![4] as { retryAfterMs: number }).retryAfterMs + 2);
    session.receive(['publish', 5, 'a', 'x'.repeat(15_000)]);
    expect(session.node.published).toHaveLength(2);
  });

  it('is closed with 4009 when it answers refusals with more bytes', () => {
    const limits = { bytesPerSecond: 1000, byteBurst: 65_536 };
    const session = new Session({ encoding, limits });
    for (let sent = 1; sent <= 10; sent++) session.receive(['publish', sent, 'a', 'x'.repeat(60_000)]);
    expect(closes(session)).toEqual([4009]);
    expect(session.metrics.connections.floods.bytes).toBe(1);
  });

  it('has the bytes of all connections of its user counted', () => {
    const limits = { userBytesPerSecond: 10_000, userByteBurst: 100_000 };
    const ann = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };
    const session = new Session({ encoding, limits, identity: ann });
    const twin = session.another(ann);
    const bob = session.another({ ...ann, user: 'bob' });
    for (const connection of [session.connection, twin, bob]) {
      connection.receive(Buffer.from(encodeCommand(['publish', 1, 'a', 'x'.repeat(60_000)], encoding)));
    }
    expect(session.node.published).toHaveLength(2);
    expect(session.metrics.traffic.messagesRateLimited).toBe(1);
  });

  it('is told to wait, and not closed, where it sends a file that is half again as large as it may', () => {
    const limits = { bytesPerSecond: 2_097_152, byteBurst: 2_097_152 };
    const session = new Session({ encoding, rate: [1000, 5000], limits });
    for (let id = 1; id <= 50; id++) session.receive(['publish', id, 'file', 'x'.repeat(60_000)]);
    session.endTurn();
    expect(closes(session)).toEqual([]);
    expect(session.node.published).toHaveLength(34);
    expect(types(session).filter((type) => type === 'error')).toHaveLength(16);
  });

  it('may send the largest message after small ones, whatever burst its user has', () => {
    const limits = { userBytesPerSecond: 100_000, userByteBurst: 1 };
    const ann = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };
    const session = new Session({ encoding, limits, identity: ann });
    session.receive(['publish', 1, 'a', 'x'.repeat(4000)]);
    session.receive(['publish', 2, 'a', 'x'.repeat(65_536 - 100)]);
    session.endTurn();
    expect(session.node.published).toHaveLength(2);
    expect(session.metrics.traffic.messagesRateLimited).toBe(0);
  });

  it('is not closed for an honest burst: 500 publishes in one message, then 100 joins', () => {
    const limits = { bytesPerSecond: 2_097_152, byteBurst: 2_097_152 };
    const session = new Session({ encoding, rate: [1000, 5000], limits });
    session.receive(
      ...Array.from({ length: 500 }, (_, id) => ['publish', id + 1, 'a', { text: 'x'.repeat(80) }] as const),
    );
    for (let id = 501; id <= 600; id++) session.receive(['join', id, `room:${id}`]);
    do session.endTurn();
    while (session.connection.isPaused);
    session.endTurn();
    expect(types(session)).toEqual(Array.from({ length: 600 }, () => 'ok'));
  });
});

describe('a connection that has yet to present its token', () => {
  it('is closed with 1009 for a message longer than a token needs', () => {
    const session = new Session({ authenticator: new Desk(), maxBytesBeforeAuth: 1000 });
    session.receive(['auth', 1, 'x'.repeat(1000)]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([1009]);
  });

  it('may send longer ones afterwards', async () => {
    const desk = new Desk();
    const session = new Session({ authenticator: desk, maxBytesBeforeAuth: 1000 });
    session.receive(['auth', 1, 'token']);
    await desk.answer(identity('ann'));
    session.receive(['publish', 2, 'a', 'x'.repeat(2000)]);
    expect(session.node.published).toHaveLength(1);
    expect(session.socket.ends).toEqual([]);
  });
});

describe('a connection whose peer does not read', () => {
  it('keeps what was not sent until the socket drains, in order', () => {
    const session = new Session();
    session.socket.outcome = 'queued';
    session.receive(['ping', 1]);
    session.endTurn();
    session.socket.outcome = 'dropped';
    session.receive(['ping', 2], ['ping', 3]);
    session.endTurn();
    session.receive(['ping', 4]);
    session.endTurn();
    expect(ids(session)).toEqual([1]);
    expect(session.stalls).toBeGreaterThan(0);
    session.socket.outcome = 'sent';
    session.connection.drained();
    expect(ids(session)).toEqual([1, 2, 3, 4]);
    session.connection.drained();
    expect(ids(session)).toEqual([1, 2, 3, 4]);
  });

  it('keeps bytes of its own, not the large block that a frame was cut from', () => {
    const session = new Session();
    session.socket.outcome = 'dropped';
    const block = Buffer.alloc(64 * 1024);
    block.set(msgpackCodec.encode(['ok', 7, {}]) as Uint8Array, 100);
    session.connection.queue(block.subarray(100, 106));
    session.endTurn();
    block.fill(0xc1);
    session.socket.outcome = 'sent';
    session.connection.drained();
    expect(ids(session)).toEqual([7]);
    expect((session.socket.sent[0] as Uint8Array).buffer.byteLength).toBeLessThan(block.length);
  });

  it('is closed with 4008, once, when that is more than may be kept', () => {
    const session = new Session({ maxUnsentBytes: 10_000 });
    session.socket.outcome = 'dropped';
    for (let id = 1; id <= 9; id++) session.connection.fail(id, 'internal', 'x'.repeat(1000));
    session.endTurn();
    expect(session.socket.ends).toEqual([]);
    for (let id = 10; id <= 12; id++) session.connection.fail(id, 'internal', 'x'.repeat(1000));
    session.connection.close({ code: 1012, reason: 'node restarting' });
    expect(session.metrics.limits['websocket.backpressureBytes']).toBe(1);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4008]);
  });
});

/** An authenticator that answers when the test does. */
class Desk implements Authenticator {
  readonly #asked: {
    readonly resolve: (identity: Identity) => void;
    readonly reject: (error: Error) => void;
  }[] = [];

  authenticate(): Promise<Identity> {
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  /** Answers the oldest question, and lets what waits for it run. */
  async answer(outcome: Identity | Error): Promise<void> {
    const question = this.#asked.shift();
    if (question === undefined) throw new Error('no token is being checked');
    if (outcome instanceof Error) question.reject(outcome);
    else question.resolve(outcome);
    await new Promise(setImmediate);
  }
}

function identity(user: string, expiresAtMs: number | null = null): Identity {
  return { user, expiresAtMs, permissions: ALL_PERMITTED };
}

describe('a connection that presents a token in band', () => {
  it('says hello once the token is accepted, then answers', async () => {
    const desk = new Desk();
    const session = new Session({ authenticator: desk });
    session.receive(['auth', 1, 'token']);
    session.endTurn();
    expect(session.socket.sent).toEqual([]);
    await desk.answer(identity('ann', 1_900_000_000_000));
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['hello', expect.objectContaining({ user: 'ann' })],
      ['ok', 1, { user: 'ann', expiresAt: 1_900_000_000_000 }],
    ]);
  });

  it('has its commands wait meanwhile, in order, with copies of their payloads', async () => {
    const desk = new Desk();
    const session = new Session({ authenticator: desk });
    session.receive(['auth', 1, 'token'], ['publish', 2, 'a', 'first'], ['auth', 3, 'token']);
    session.receive(['publish', 4, 'a', { second: true }], ['ping', 5]);
    await desk.answer(identity('ann'));
    expect(session.node.published.map(({ data }) => unpackValue(data))).toEqual(['first']);
    await desk.answer(identity('ann'));
    expect(session.node.published.map(({ data }) => unpackValue(data))).toEqual(['first', { second: true }]);
    session.endTurn();
    expect(ids(session).slice(1)).toEqual([1, 2, 3, 4, 5]);
  });

  it.each([
    ['many', Array.from({ length: 1000 }, (_, id) => ['ping', id + 2] as const)],
    ['large', [1, 2].map((id) => ['publish', id, 'a', 'x'.repeat(60_000)] as const)],
    ['large tokens', [1, 2].map((id) => ['auth', id, 'x'.repeat(60_000)] as const)],
  ])('is closed with 4504 where those are too %s', async (_, frames) => {
    const session = new Session({ authenticator: new Desk() });
    session.receive(['auth', 1, 'token']);
    for (const frame of frames) session.receive(frame);
    expect(session.socket.frames).toEqual([['error', 0, 'limit_exceeded', expect.any(String)]]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4504]);
  });

  it.each([
    ['is not accepted', new AuthFailure('unauthorized', 'why'), 'unauthorized', 4501],
    ['has expired', new AuthFailure('token_expired', 'why'), 'token_expired', 4002],
    // Its owner is to come back: the token may be a good one.
    ['could not be checked', new TypeError('fetch failed'), 'internal', 1011],
  ])('is closed where the token %s', async (_, error, code, close) => {
    const desk = new Desk();
    const session = new Session({ authenticator: desk });
    session.receive(['auth', 1, 'token'], ['publish', 2, 'a', 1]);
    await desk.answer(error);
    expect(session.socket.frames).toEqual([['error', 1, code, expect.any(String)]]);
    expect(session.socket.ends.map((end) => end.code)).toEqual([close]);
    expect(session.node.published).toEqual([]);
  });

  it('is closed with 4501 where it asks for anything else first', () => {
    const session = new Session({ authenticator: new Desk() });
    session.receive(['publish', 1, 'a', 1], ['auth', 2, 'token']);
    expect(session.socket.frames).toEqual([['error', 1, 'unauthorized', expect.any(String)]]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4501]);
    expect(session.node.published).toEqual([]);
  });
});

describe('an anonymous connection beside authenticated ones', () => {
  const users = { join: 'authenticated', publish: 'authenticated' } as const;

  function open(): { session: Session; desk: Desk } {
    const desk = new Desk();
    return { session: new Session({ authenticator: desk, anonymous: true, access: { users } }), desk };
  }

  it('needs no token where room rules ask for none', () => {
    const { session } = open();
    expect(session.connection.awaitsAuth).toBe(false);
    session.receive(['publish', 1, 'a', 1], ['publish', 2, 'users', 1]);
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['ok', 1, expect.anything()],
      ['error', 2, 'forbidden', expect.stringContaining('publish: authenticated')],
    ]);
    expect(session.socket.ends).toEqual([]);
  });

  it("becomes a user's by a token, without a second hello", async () => {
    const { session, desk } = open();
    session.connection.welcome();
    session.receive(['auth', 1, 'token'], ['publish', 2, 'users', 1]);
    await desk.answer(identity('ann'));
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['hello', expect.objectContaining({ user: null })],
      ['ok', 1, { user: 'ann', expiresAt: null }],
      ['ok', 2, expect.anything()],
    ]);
  });

  it('is closed where the token is bad, and stays where it could not be checked', async () => {
    const { session, desk } = open();
    session.receive(['auth', 1, 'token'], ['ping', 2]);
    await desk.answer(new TypeError('fetch failed'));
    session.endTurn();
    expect(ids(session)).toEqual([1, 2]);
    expect(session.socket.ends).toEqual([]);
    session.receive(['auth', 3, 'token']);
    await desk.answer(new AuthFailure('unauthorized', 'why'));
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4501]);
  });
});

describe('a connection with a token', () => {
  const TOLERANCE_MS = 5000;

  /** Its token expires in ten seconds. */
  function open(): { session: Session; desk: Desk; expiresAtMs: number } {
    const desk = new Desk();
    const expiresAtMs = new Session().clock.wallMs() + 10_000;
    const session = new Session({ authenticator: desk, identity: identity('ann', expiresAtMs) });
    return { session, desk, expiresAtMs };
  }

  it('is closed with 4002 at the first heartbeat after that has expired', () => {
    const { session } = open();
    session.clock.advance(10_000 + TOLERANCE_MS - 1);
    session.connection.ping();
    session.receive(['ping', 1]);
    expect(session.socket).toMatchObject({ pings: 1, ends: [] });
    session.clock.advance(1);
    session.connection.ping();
    expect(session.socket.pings).toBe(1);
    expect(session.socket.frames.at(-1)).toEqual(['error', 0, 'token_expired', expect.any(String)]);
    expect(session.socket.ends).toEqual([{ code: 4002, reason: 'token expired' }]);
  });

  it('has nothing done for it after that has expired', () => {
    const { session } = open();
    session.clock.advance(10_000 + TOLERANCE_MS);
    session.receive(['publish', 1, 'a', 1]);
    expect(session.node.published).toEqual([]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4002]);
  });

  it('goes on where it presents a fresh one, also late', async () => {
    const { session, desk, expiresAtMs } = open();
    session.clock.advance(10_000 + TOLERANCE_MS);
    session.receive(['auth', 1, 'fresh'], ['ping', 2]);
    session.connection.ping();
    await desk.answer(identity('ann', expiresAtMs + 60_000));
    session.connection.ping();
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['ok', 1, { user: 'ann', expiresAt: expiresAtMs + 60_000 }],
      ['ok', 2, {}],
    ]);
    expect(session.socket).toMatchObject({ pings: 2, ends: [] });
  });

  it('keeps the one it has where a fresh one could not be checked', async () => {
    const { session, desk } = open();
    session.receive(['auth', 1, 'fresh'], ['publish', 2, 'a', 1]);
    await desk.answer(new TypeError('fetch failed'));
    session.endTurn();
    expect(session.socket.frames).toEqual([
      ['error', 1, 'internal', expect.any(String)],
      ['ok', 2, expect.anything()],
    ]);
    expect(session.connection.user).toBe('ann');
    expect(session.socket.ends).toEqual([]);
  });

  it('is closed with 4501 where it presents the token of someone else', async () => {
    const { session, desk } = open();
    session.receive(['auth', 1, 'token']);
    await desk.answer(identity('bob'));
    expect(session.socket.frames).toEqual([['error', 1, 'unauthorized', expect.any(String)]]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual([4501]);
    expect(session.connection.user).toBe('ann');
  });
});
