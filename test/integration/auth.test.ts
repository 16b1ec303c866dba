import { once } from 'node:events';
import { get } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MessageFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SECRET, secondsFromNow, secretKey, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

let node: NodeProcess;
/** Gives up on those without a token soon. */
let hasty: NodeProcess;
const clients: TestClient[] = [];

beforeAll(async () => {
  const env = {
    ROOMCAST_AUTH_SECRET: SECRET,
    ROOMCAST_HEARTBEAT_INTERVAL_MS: '1000',
    ROOMCAST_LOG_LEVEL: 'debug',
    ROOMCAST_ROOMS: JSON.stringify([
      { match: 'members:*', join: 'authenticated', publish: 'authenticated', history: false },
    ]),
  };
  [node, hasty] = await Promise.all([
    NodeProcess.start({ env }),
    NodeProcess.start({ env: { ...env, ROOMCAST_WEBSOCKET_AUTH_TIMEOUT_MS: '100' } }),
  ]);
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await Promise.all([node.stop(), hasty.stop()]);
});

async function connect(token?: string, to = node): Promise<TestClient> {
  const client = await TestClient.connect(to.wsUrl, token === undefined ? {} : { token });
  clients.push(client);
  return client;
}

/** A connection of this user, whose token holds these claims too. */
async function connectAs(user: string, claims: Readonly<Record<string, unknown>> = {}): Promise<TestClient> {
  return connect(await token({ sub: user, ...claims }));
}

/** The HTTP answer to an upgrade that is refused. */
async function refusedUpgrade(path: string, headers: Readonly<Record<string, string>> = {}, to = node) {
  const upgrade = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const request = get(`${to.url}${path}`, { headers: { ...upgrade, ...headers } });
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body: JSON.parse(body) };
}

describe('a token on the upgrade', () => {
  it('says who the connection is, as a header and in the address', async () => {
    const text = await token({ sub: 'ann' });
    const byHeader = await connect(text);
    const byAddress = await TestClient.connect(`${node.wsUrl}?token=${text}`, { encoding: 'json' });
    clients.push(byAddress);
    for (const client of [byHeader, byAddress]) {
      expect(await client.hello()).toMatchObject({ user: 'ann' });
      expect(client.frames[0]![0]).toBe('hello');
      expect(await client.ok('ping')).toEqual({});
    }
  });

  it('is refused with 401 before the upgrade where the header has it and it is bad or has expired', async () => {
    const bad = await token({ sub: 'ann' }, { key: secretKey('some other secret that is long enough') });
    const expired = await token({ sub: 'ann', exp: secondsFromNow(-60) });
    for (const [text, code] of [
      [bad, 'unauthorized'],
      [expired, 'token_expired'],
      ['nonsense', 'unauthorized'],
    ] as const) {
      const answer = { status: 401, body: { error: { code, message: expect.any(String) } } };
      expect(await refusedUpgrade('/ws', { Authorization: `Bearer ${text}` })).toEqual(answer);
    }
  });

  // A page never sees the status of an upgrade, and would come back for ever.
  it('is refused on the open WebSocket where the address has it', async () => {
    const bad = await token({ sub: 'ann' }, { key: secretKey('some other secret that is long enough') });
    const expired = await token({ sub: 'ann', exp: secondsFromNow(-60) });
    for (const [text, code, close] of [
      [bad, 'unauthorized', 4501],
      [expired, 'token_expired', 4002],
      ['nonsense', 'unauthorized', 4501],
    ] as const) {
      for (const encoding of ['msgpack', 'json'] as const) {
        const client = await TestClient.connect(`${node.wsUrl}?token=${text}`, { encoding });
        client.sendCommand(['join', 1, 'members:who']);
        expect((await client.closed).code).toBe(close);
        expect(client.frames).toEqual([['error', 0, code, expect.any(String)]]);
      }
    }
  });

  it('is refused in the same way for hundreds at once', async () => {
    const codes = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const client = await TestClient.connect(`${node.wsUrl}?token=nonsense`);
        const { code } = await client.closed;
        return `${code} ${client.frames.map(([type]) => type)}`;
      }),
    );
    expect(new Set(codes)).toEqual(new Set(['4501 error']));
  });

  it('counts against the rate of new connections before it is checked', async () => {
    const env = { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_ACCEPT_RATE_PER_SECOND: '1' };
    const slow = await NodeProcess.start({ env });
    const attempts = Array.from({ length: 10 }, () => TestClient.connect(`${slow.wsUrl}?token=nonsense`));
    const outcomes = await Promise.allSettled(attempts);
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const refusal of refused) expect(refusal).toMatchObject({ status: 503 });
    await slow.stop();
  });
});

describe('a token in band', () => {
  it('is followed by hello, then its ok, then the replies to what was sent along', async () => {
    const client = await connect();
    const expiresAt = secondsFromNow(3600);
    client.sendCommand(['auth', 1, await token({ sub: 'ann', exp: expiresAt })]);
    client.sendCommand(['join', 2, 'band']);
    client.sendCommand(['publish', 3, 'band', 'hi']);
    await client.next(([type]) => type === 'message');
    await client.next(([type, id]) => type === 'ok' && id === 3);
    expect(client.frames.slice(0, 3)).toEqual([
      ['hello', expect.objectContaining({ user: 'ann' })],
      ['ok', 1, { user: 'ann', expiresAt: expiresAt * 1000 }],
      ['ok', 2, expect.anything()],
    ]);
  });

  it.each([
    ['bad', 'unauthorized', 4501, () => token({ sub: 'ann' }, { key: secretKey('x'.repeat(40)) })],
    ['expired', 'token_expired', 4002, () => token({ sub: 'ann', exp: secondsFromNow(-60) })],
  ])('that is %s is answered with an error, and the connection closed', async (_, code, close, text) => {
    const client = await connect();
    client.sendCommand(['auth', 1, await text()]);
    expect((await client.closed).code).toBe(close);
    expect(client.frames).toEqual([['error', 1, code, expect.any(String)]]);
  });

  it('comes first, or the connection is closed', async () => {
    const client = await connect();
    client.sendCommand(['join', 1, 'a']);
    expect(await client.closed).toEqual({ code: 4501, reason: 'unauthorized' });
    expect(client.frames).toEqual([['error', 1, 'unauthorized', expect.any(String)]]);
  });

  it('comes within the time for it, or the connection is closed', async () => {
    const [late, known] = await Promise.all([
      connect(undefined, hasty),
      connect(await token({ sub: 'ann' }), hasty),
    ]);
    expect(await late.closed).toEqual({ code: 4501, reason: 'unauthorized' });
    expect(late.frames).toEqual([['error', 0, 'unauthorized', expect.any(String)]]);
    expect(await known.ok('ping')).toEqual({});
  });
});

describe('a user', () => {
  it('is the sender of what their connections publish, and no connection is', async () => {
    const [phone, laptop, bob] = await Promise.all([connectAs('ann'), connectAs('ann'), connectAs('bob')]);
    for (const client of [phone, laptop, bob]) await client.ok('join', 'members:who');
    await phone.ok('publish', 'members:who', 1);
    await laptop.ok('publish', 'members:who', 2);
    await bob.ok('publish', 'members:who', 3);
    await phone.next((frame) => frame[0] === 'message' && frame[5] === 3);
    const heard = phone.messages('members:who').map(([, , , , sender, data]) => [sender, data]);
    expect(heard).toEqual([
      ['ann', 1],
      ['ann', 2],
      ['bob', 3],
    ]);
  });

  it('may do in each room what their token says', async () => {
    const rooms = [
      { match: 'news:*', join: true },
      { match: 'drop:*', publish: true },
      { match: 'chat:*', join: true, publish: true },
    ];
    const ann = await connectAs('ann', { rooms });
    const may = async (type: 'join' | 'publish' | 'history', room: string) => {
      const reply = await ann.request(type, room, ...(type === 'publish' ? ['hi'] : []));
      return reply[0] === 'ok' || reply[2];
    };
    const verdicts = async (room: string) => [
      await may('join', room),
      await may('publish', room),
      await may('history', room),
    ];
    expect(await verdicts('news:a')).toEqual([true, 'forbidden', true]);
    expect(await verdicts('drop:a')).toEqual(['forbidden', true, 'forbidden']);
    expect(await verdicts('chat:a')).toEqual([true, true, true]);
    expect(await verdicts('other')).toEqual(['forbidden', 'forbidden', 'forbidden']);
    expect((await ann.request('members', 'drop:a'))[2]).toBe('forbidden');
    const unbound = await connectAs('bob');
    const { messages } = await unbound.ok<{ messages: MessageFrame[] }>('history', 'news:a');
    expect(messages).toEqual([]);
  });
});

describe('a refreshed token', () => {
  it('of the same user counts from then on, and brings no second hello', async () => {
    const ann = await connectAs('ann', { rooms: [{ match: 'a', join: true }] });
    expect((await ann.request('join', 'b'))[2]).toBe('forbidden');
    const exp = secondsFromNow(3600);
    const rooms = [{ match: 'b', join: true }];
    const refreshed = await ann.ok('auth', await token({ sub: 'ann', exp, rooms }));
    expect(refreshed).toEqual({ user: 'ann', expiresAt: exp * 1000 });
    await ann.ok('join', 'b');
    expect(ann.frames.filter(([type]) => type === 'hello')).toHaveLength(1);
  });

  it('of another user is refused, and the connection closed', async () => {
    const ann = await connectAs('ann');
    expect(await ann.request('auth', await token({ sub: 'bob' }))).toMatchObject([
      'error',
      expect.any(Number),
      'unauthorized',
      expect.any(String),
    ]);
    expect((await ann.closed).code).toBe(4501);
  });

  it('keeps a connection that would be closed with 4002 when its first one has expired', async () => {
    const soon = { exp: secondsFromNow(-2) };
    const [listener, refreshed] = await Promise.all([connectAs('ann', soon), connectAs('ann', soon)]);
    await listener.ok('join', 'expiry');
    await refreshed.ok('auth', await token({ sub: 'ann', exp: secondsFromNow(3600) }));
    expect(await listener.closed).toEqual({ code: 4002, reason: 'token expired' });
    expect(listener.frames.at(-1)).toEqual(['error', 0, 'token_expired', expect.any(String)]);
    expect(await refreshed.ok('ping')).toEqual({});
  });
});

describe('an address that presents bad tokens', () => {
  it('has no more of them checked, whichever way they come, and is told when to come back', async () => {
    const strict = await NodeProcess.start({
      env: {
        ROOMCAST_AUTH_SECRET: SECRET,
        ROOMCAST_AUTH_REFUSALS_PER_SECOND: '1',
        ROOMCAST_LIMITS_LIMIT_PRIVATE_ADDRESSES: 'true',
      },
    });
    const good = await token({ sub: 'ann' });
    const headers = { Authorization: `Bearer ${good}` };
    const publish = () =>
      fetch(`${strict.url}/v1/rooms/r/messages`, { method: 'POST', headers, body: '{"data": 1}' });
    const inBand = await connect(undefined, strict);
    const flood = new BadTokens(`${strict.url}/v1/rooms/r/events?token=nonsense`);
    await flood.start();
    expect((await inBand.request('auth', good)).slice(2)).toEqual([
      'rate_limited',
      'too many tokens from this address were refused: auth.refusalsPerSecond is 1',
      { retryAfterMs: expect.any(Number), limit: 'auth.refusalsPerSecond' },
    ]);
    expect((await inBand.closed).code).toBe(1013);
    const limited = {
      code: 'rate_limited',
      message: expect.any(String),
      retryAfterMs: expect.any(Number),
      limit: 'auth.refusalsPerSecond',
    };
    for (const [path, own] of [
      [`/ws?token=${good}`, {}],
      ['/ws', headers],
    ] as const) {
      expect(await refusedUpgrade(path, own, strict)).toEqual({ status: 429, body: { error: limited } });
    }
    for (const asked of [fetch(`${strict.url}/v1/rooms/r/events`, { headers }), publish()]) {
      const answer = await asked;
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([
        429,
        expect.stringMatching(/^\d+$/),
      ]);
      expect((await answer.json()).error).toEqual(limited);
    }
    await flood.stop();
    const metrics = await (await fetch(`${strict.url}/metrics`)).text();
    expect(readMetric(metrics, 'roomcast_token_checks_total{outcome="rate_limited"}')).toBeGreaterThanOrEqual(
      5,
    );
    expect(
      readMetric(metrics, 'roomcast_upgrades_rejected_total{reason="token_checks"}'),
    ).toBeGreaterThanOrEqual(3);
    await waitFor(async () => (await publish()).ok, { for: 'the address to be let in again' });
    await strict.stop();
  });
});

/** Presents bad tokens all the time, so that whatever its address may have refused is used up at once. */
class BadTokens {
  readonly #url: string;
  #isStopped = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(url: string) {
    this.#url = url;
  }

  /** Resolves once they are not checked any more. */
  async start(): Promise<void> {
    while ((await fetch(this.#url)).status !== 429);
    this.#loop = this.#goOn();
  }

  async #goOn(): Promise<void> {
    while (!this.#isStopped) await fetch(this.#url);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
  }
}

describe('a token in a URL', () => {
  it('is in no answer and no metric, whatever the request', async () => {
    const good = await token({ sub: 'ann' });
    const cut = good.slice(0, -7);
    const bodies: string[] = [];
    for (const text of [good, cut, `${good}%ff`, encodeURIComponent(`${good}\r\nx: y`)]) {
      for (const path of [
        '/',
        '/ws',
        '/nothing',
        '/healthz',
        '/metrics',
        '/v1/publish',
        '/v1/rooms/a*b/events',
      ]) {
        for (const method of ['GET', 'POST', 'PUT']) {
          const answer = await fetch(`${node.url}${path}?token=${text}`, {
            method,
            ...(method === 'GET' ? {} : { body: '{' }),
          });
          bodies.push(JSON.stringify([...answer.headers]), await answer.text());
        }
      }
      for (const path of [`/ws?token=${text}`, `/ws?x=1&token=${text}#x`, `/other?token=${text}`]) {
        bodies.push(JSON.stringify(await refusedUpgrade(path, { 'Sec-WebSocket-Key': 'none' })));
      }
      const client = await TestClient.connect(`${node.wsUrl}?token=${cut}`);
      await client.closed;
      bodies.push(JSON.stringify(client.frames));
    }
    const all = bodies.join('\n');
    expect(all).toContain('no route at /nothing');
    expect(bodies.filter((text) => text.includes(good.slice(0, 20)))).toEqual([]);
  });
});

describe('the log', () => {
  it('holds no token and no secret', () => {
    const text = [...node.lines, ...hasty.lines].join('\n');
    expect(text).toContain('listening');
    // The head of every token that was signed here.
    expect(text).not.toContain('eyJhbGciOi');
    expect(text).not.toContain(SECRET);
  });
});
