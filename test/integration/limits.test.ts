/** Every limit of docs/limits.md, reached on a real node over each way that it bounds. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LIMIT_ROWS } from '../../src/config/limits-table.ts';
import { LIMITS, type LimitLabel } from '../../src/metrics/labels.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import type { CommandFrame } from '../../src/protocol/frames.ts';
import { TestClient } from '../support/client.ts';
import { EventReader, StreamRefused } from '../support/events.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SECRET, token } from '../support/tokens.ts';

const API_KEY = 'a-key-of-the-tests';
const COMMON = {
  ROOMCAST_AUTH_SECRET: SECRET,
  ROOMCAST_TRUST_PROXY: 'loopback',
  ROOMCAST_METRICS_RENDERS_PER_SECOND: '0',
};
/** Rates of one a second or less: what is refused now is refused for the length of a test. */
const LIMITED = {
  ...COMMON,
  ROOMCAST_AUTH_ANONYMOUS: 'true',
  ROOMCAST_API_KEYS: API_KEY,
  ROOMCAST_AUTH_REFUSALS_PER_SECOND: '1',
  ROOMCAST_LIMITS_CONNECTIONS_PER_ADDRESS: '2',
  ROOMCAST_LIMITS_CONNECTIONS_PER_USER: '2',
  ROOMCAST_LIMITS_ADDRESS_UPGRADES_PER_SECOND: '1',
  ROOMCAST_LIMITS_ADDRESS_UPGRADE_BURST: '4',
  ROOMCAST_LIMITS_ADDRESS_REQUESTS_PER_SECOND: '1',
  ROOMCAST_LIMITS_ADDRESS_REQUEST_BURST: '60',
  ROOMCAST_LIMITS_API_KEY_REQUESTS_PER_SECOND: '1',
  ROOMCAST_LIMITS_API_KEY_REQUEST_BURST: '5',
  ROOMCAST_LIMITS_COMMANDS_PER_SECOND: '1',
  ROOMCAST_LIMITS_COMMAND_BURST: '40',
  ROOMCAST_LIMITS_USER_COMMANDS_PER_SECOND: '1',
  ROOMCAST_LIMITS_USER_COMMAND_BURST: '16',
  ROOMCAST_LIMITS_ADDRESS_COMMANDS_PER_SECOND: '1',
  ROOMCAST_LIMITS_ADDRESS_COMMAND_BURST: '48',
  ROOMCAST_LIMITS_BYTES_PER_SECOND: '100',
  ROOMCAST_LIMITS_BYTE_BURST: '6000',
  ROOMCAST_LIMITS_USER_BYTES_PER_SECOND: '100',
  ROOMCAST_LIMITS_USER_BYTE_BURST: '6000',
  ROOMCAST_LIMITS_JOINS_PER_SECOND: '1',
  ROOMCAST_LIMITS_JOIN_BURST: '4',
  ROOMCAST_LIMITS_ROOMS_PER_CONNECTION: '3',
  ROOMCAST_LIMITS_PENDING_REQUESTS: '8',
  ROOMCAST_LIMITS_WAITING_READS: '2',
  ROOMCAST_LIMITS_KEYS_PER_USER: '6',
  ROOMCAST_LIMITS_PRESENCE_BYTES: '16',
  ROOMCAST_LIMITS_BODY_BYTES: '4096',
  ROOMCAST_WEBSOCKET_MAX_PAYLOAD_BYTES: '2048',
  ROOMCAST_WEBSOCKET_BACKPRESSURE_BYTES: '4096',
  ROOMCAST_ROOMS: JSON.stringify([{ match: 'slow:*', publishesPerSecond: 1 }]),
};

let limited: NodeProcess;
let small: NodeProcess;
let slow: NodeProcess;
const open: { close(): void }[] = [];

beforeAll(async () => {
  [limited, small, slow] = await Promise.all([
    NodeProcess.start({ env: LIMITED }),
    NodeProcess.start({
      env: {
        ...COMMON,
        ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '3',
        ROOMCAST_WEBSOCKET_MAX_UNAUTHENTICATED: '1',
      },
    }),
    NodeProcess.start({
      env: {
        ...COMMON,
        ROOMCAST_AUTH_ANONYMOUS: 'true',
        ROOMCAST_ACCEPT_RATE_PER_SECOND: '1',
        ROOMCAST_LIMITS_UNFINISHED_BODY_BYTES: '1000',
      },
    }),
  ]);
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

afterAll(() => Promise.all([limited, small, slow].map((node) => node.stop())));

/** What a client is told. */
interface Told {
  readonly code: string;
  readonly message: string;
  readonly limit?: unknown;
  readonly retryAfterMs?: unknown;
  /** Of an HTTP answer. */
  readonly status?: number;
  readonly retryAfter?: string | undefined;
}

let lastAddress = 0;
/** A client's address that no other test has. */
const anAddress = () => `198.51.100.${++lastAddress}`;
const from = (address: string) => ({ 'X-Forwarded-For': address });
let lastUser = 0;
const aUser = () => token({ sub: `user-${++lastUser}` });
const bearer = (value: string) => ({ Authorization: `Bearer ${value}` });

// ---- WebSockets ---------------------------------------------------------------------------------------------

/** Null for one that is accepted, and stays until the test ends. */
async function upgrade(node: NodeProcess, headers: Record<string, string>): Promise<Told | null> {
  const sent = request(`${node.url}/ws`, {
    agent: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  });
  sent.end();
  const accepted = once(sent, 'upgrade').then(([, socket]) => {
    socket.on('error', () => undefined);
    open.push({ close: () => socket.destroy() });
    return null;
  });
  const refused = once(sent, 'response').then(([response]) => toldBy(response as IncomingMessage));
  return Promise.race([accepted, refused]);
}

async function toldBy(response: IncomingMessage): Promise<Told> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  const { error } = JSON.parse(text) as { error: Told };
  return { ...error, status: response.statusCode!, retryAfter: response.headers['retry-after'] };
}

/** The first one that is refused of these. */
async function firstRefused(most: number, ask: () => Promise<Told | null>): Promise<Told> {
  for (let n = 0; n < most; n++) {
    const told = await ask();
    if (told !== null) return told;
  }
  throw new Error(`all ${most} were accepted`);
}

async function client(headers: Record<string, string> = {}, ofUser?: string): Promise<TestClient> {
  const options = { headers: { ...from(anAddress()), ...headers } };
  const connected = await TestClient.connect(
    limited.wsUrl,
    ofUser === undefined ? options : { ...options, token: ofUser },
  );
  open.push({ close: () => connected.socket.terminate() });
  await connected.hello();
  return connected;
}

/** Sends all in one message. Resolves with the first error. */
async function firstError(of: TestClient, ...frames: readonly CommandFrame[]): Promise<Told> {
  if (frames.length > 0)
    of.send(Buffer.concat(frames.map((frame) => Buffer.from(encodeCommand(frame, 'msgpack')))));
  const [, , code, message, details] = (await of.next(([type]) => type === 'error')) as [
    ...[string, number, string, string, Record<string, unknown>],
  ];
  return { code, message, ...details };
}

const times = (count: number, frame: (id: number) => unknown) =>
  Array.from({ length: count }, (_, n) => frame(n + 1) as CommandFrame);

// ---- HTTP ---------------------------------------------------------------------------------------------------

/** Null for what is answered well. */
async function ask(path: string, init: RequestInit = {}): Promise<Told | null> {
  const answer = await fetch(limited.url + path, init);
  const text = await answer.text();
  if (answer.ok) return null;
  const { error } = JSON.parse(text) as { error: Told };
  return { ...error, status: answer.status, retryAfter: answer.headers.get('retry-after') ?? undefined };
}

async function publish(headers: Record<string, string>, body: object, room = 'a'): Promise<Told | null> {
  return ask(`/v1/rooms/${room}/messages`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** Begins a body and does not finish it. Resolves with the answer, if there is one all the same. */
async function unfinished(path: string): Promise<Told> {
  const headers = { 'Content-Length': '40000', 'Content-Type': 'application/json', ...from(anAddress()) };
  const sent = request(slow.url + path, { method: 'POST', agent: false, headers });
  sent.on('error', () => undefined);
  open.push({ close: () => sent.destroy() });
  sent.write('x'.repeat(20_000));
  const [response] = await once(sent, 'response');
  return toldBy(response as IncomingMessage);
}

async function stream(headers: Record<string, string>, ...rooms: string[]): Promise<Told | null> {
  const body = { rooms: rooms.map((room) => ({ room })) };
  const opened = EventReader.open(`${limited.url}/v1/events`, { headers, body });
  try {
    const reader = await opened;
    open.push({ close: () => reader.close() });
    return null;
  } catch (error) {
    if (!(error instanceof StreamRefused)) throw error;
    return { ...error.error, status: error.status, retryAfter: error.headers['retry-after'] };
  }
}

// ---- what reaches each limit --------------------------------------------------------------------------------

type Way = 'WebSocket' | 'event stream' | 'HTTP';
type Ways = Partial<Record<Way, () => Promise<Told>>>;

const HELLO = { data: 'hello' };

/** An address whose tokens are not checked any more, and what it was told. */
async function refusedTokens(): Promise<{ readonly address: string; readonly told: Told }> {
  const address = anAddress();
  const headers = { ...from(address), ...bearer('nonsense') };
  const told = await firstRefused(20, async () => {
    const one = await publish(headers, HELLO);
    return one?.status === 401 ? null : one;
  });
  return { address, told };
}

const WAYS: Record<LimitLabel, Ways> = {
  'websocket.maxConnections': {
    WebSocket: () =>
      firstRefused(4, async () => upgrade(small, { ...from(anAddress()), ...bearer(await aUser()) })),
  },
  'websocket.maxUnauthenticated': {
    // The connections of the test before may not be gone yet.
    WebSocket: () =>
      firstRefused(50, async () => {
        const told = await upgrade(small, from(anAddress()));
        return told?.limit === 'websocket.maxConnections' ? null : told;
      }),
  },
  'acceptRate.perSecond': {
    WebSocket: () => firstRefused(10, () => upgrade(slow, from(anAddress()))),
  },
  // Nobody can be told: test/integration/held-sockets.test.ts.
  'limits.socketsPerAddress': {},
  'limits.addressSocketsPerSecond': {},
  'limits.connectionsPerAddress': {
    WebSocket: () => {
      const address = anAddress();
      return firstRefused(3, () => upgrade(limited, from(address)));
    },
    'event stream': () => {
      const address = anAddress();
      return firstRefused(3, () => stream(from(address), 'a'));
    },
  },
  'limits.connectionsPerUser': {
    WebSocket: async () => {
      const good = await aUser();
      return firstRefused(3, () => upgrade(limited, { ...from(anAddress()), ...bearer(good) }));
    },
    'event stream': async () => {
      const good = await aUser();
      return firstRefused(3, () => stream({ ...from(anAddress()), ...bearer(good) }, 'a'));
    },
  },
  'limits.addressUpgradesPerSecond': {
    WebSocket: async () => {
      const address = anAddress();
      const comeAndGo = async () => {
        const told = await upgrade(limited, from(address));
        for (const one of open.splice(0)) one.close();
        return told?.limit === 'limits.connectionsPerAddress' ? null : told;
      };
      return firstRefused(50, comeAndGo);
    },
    'event stream': async () => {
      const address = anAddress();
      // Refused by the rights of the room, after it was admitted.
      const told = () => stream(from(address), '$nobody').then((one) => (one?.status === 403 ? null : one));
      return firstRefused(10, told);
    },
  },
  'auth.refusalsPerSecond': {
    WebSocket: async () => {
      const connected = await client(from((await refusedTokens()).address));
      return firstError(connected, ['auth', 1, 'nonsense']);
    },
    'event stream': async () => {
      const headers = { ...from((await refusedTokens()).address), ...bearer('nonsense') };
      return firstRefused(1, () => stream(headers, 'a'));
    },
    HTTP: async () => (await refusedTokens()).told,
  },
  'limits.addressRequestsPerSecond': {
    HTTP: () => {
      const address = anAddress();
      return firstRefused(90, async () => {
        const told = await ask('/nowhere', { headers: from(address) });
        return told?.status === 404 ? null : told;
      });
    },
  },
  'limits.apiKeyRequestsPerSecond': {
    HTTP: () => firstRefused(20, () => ask('/v1/nodes', { headers: bearer(API_KEY) })),
  },
  'limits.commandsPerSecond': {
    WebSocket: async () => firstError(await client(), ...times(60, (id) => ['ping', id])),
    HTTP: async () => {
      const headers = { ...from(anAddress()) };
      return firstRefused(55, () => publish(headers, HELLO));
    },
  },
  'limits.userCommandsPerSecond': {
    WebSocket: async () => {
      const good = await aUser();
      return firstError(await client({}, good), ...times(40, (id) => ['ping', id]));
    },
  },
  'limits.addressCommandsPerSecond': {
    WebSocket: async () => {
      const address = anAddress();
      const pings = times(39, (id) => ['ping', id]);
      const [one, two] = [await client(from(address)), await client(from(address))];
      // Each stays within what one connection may send.
      one.send(Buffer.concat(pings.map((frame) => Buffer.from(encodeCommand(frame, 'msgpack')))));
      await one.next(([, id]) => id === 39);
      return firstError(two, ...pings);
    },
  },
  'limits.bytesPerSecond': {
    WebSocket: async () => {
      const connected = await client();
      for (const frame of times(5, (id) => ['publish', id, 'a', 'x'.repeat(1500)]))
        connected.sendCommand(frame);
      return firstError(connected);
    },
    HTTP: async () => {
      const headers = from(anAddress());
      return firstRefused(6, () => publish(headers, { data: 'x'.repeat(1500) }));
    },
    'event stream': () => {
      const headers = { 'Content-Type': 'application/json', ...from(anAddress()) };
      // Few bytes, and many values.
      const body = JSON.stringify({ rooms: [{ room: 'a', data: Array.from({ length: 500 }, () => []) }] });
      return firstRefused(1, () => ask('/v1/events', { method: 'POST', headers, body }));
    },
  },
  'limits.userBytesPerSecond': {
    WebSocket: async () => {
      const good = await aUser();
      const [one, two] = [await client({}, good), await client({}, good)];
      // Each stays within what one connection may send.
      const publishes = times(3, (id) => ['publish', id, 'a', 'x'.repeat(1500)]);
      for (const frame of publishes) one.sendCommand(frame);
      await one.ok('ping');
      for (const frame of publishes) two.sendCommand(frame);
      return firstError(two);
    },
  },
  'limits.joinsPerSecond': {
    WebSocket: async () => firstError(await client(), ...times(6, (id) => ['join', id, 'a'])),
    'event stream': () => {
      const address = anAddress();
      return firstRefused(3, () => stream(from(address), 'a', 'b', 'c'));
    },
  },
  'limits.roomPublishesPerSecond': {
    WebSocket: async () => firstError(await client(), ...times(6, (id) => ['publish', id, 'slow:ws', 1])),
    HTTP: () => firstRefused(6, () => publish(from(anAddress()), HELLO, 'slow:http')),
  },
  'limits.roomsPerConnection': {
    WebSocket: async () => firstError(await client(), ...times(4, (id) => ['join', id, `room:${id}`])),
    'event stream': () => firstRefused(1, () => stream(from(anAddress()), 'a', 'b', 'c', 'd')),
  },
  'limits.pendingRequests': {
    WebSocket: async () => firstError(await client(), ...times(10, (id) => ['publish', id, 'a', 1])),
  },
  'limits.waitingReads': {
    WebSocket: async () => firstError(await client(), ...times(6, (id) => ['history', id, 'a'])),
  },
  'limits.keysPerUser': {
    WebSocket: async () =>
      firstError(await client(), ...times(5, (id) => ['publish', id, 'a', 1, { key: `k${id}` }])),
    HTTP: () => {
      const headers = from(anAddress());
      let sent = 0;
      return firstRefused(5, () => publish(headers, { ...HELLO, key: `http-${++sent}` }));
    },
  },
  'limits.presenceBytes': {
    WebSocket: async () => firstError(await client(), ['join', 1, 'a', { data: 'x'.repeat(20) }]),
  },
  'limits.bodyBytes': {
    HTTP: () => firstRefused(1, () => publish(from(anAddress()), { data: 'x'.repeat(5000) })),
  },
  'limits.unfinishedBodyBytes': {
    HTTP: () => unfinished('/v1/rooms/a/messages'),
  },
  'websocket.maxPayloadBytes': {
    HTTP: () => firstRefused(1, () => publish(from(anAddress()), { data: 'x'.repeat(3000) })),
  },
  // Nobody can be told: test/unit/connection.test.ts and test/chaos/slow-reader.test.ts.
  // It is dropped, and told nothing: see chaos/slow-reader.test.ts.
  'limits.unreadBytes': {},
  'websocket.backpressureBytes': {},
};

const NODES: Partial<Record<LimitLabel, () => NodeProcess>> = {
  'websocket.maxConnections': () => small,
  'websocket.maxUnauthenticated': () => small,
  'acceptRate.perSecond': () => slow,
  'limits.unfinishedBodyBytes': () => slow,
};

async function counted(limit: LimitLabel): Promise<number> {
  const answer = await fetch(`${(NODES[limit]?.() ?? limited).url}/metrics`);
  return readMetric(await answer.text(), `roomcast_limited_total{limit="${limit}"}`)!;
}

const CASES = LIMITS.flatMap((limit) =>
  Object.entries(WAYS[limit]).map(([way, reach]) => [limit, way as Way, reach] as const),
);

describe('beyond', () => {
  it.each(CASES)(
    '%s, over %s, the error names the limit and when to try again, and it is counted',
    async (limit, way, reach) => {
      const before = await counted(limit);
      const told = await reach();
      expect(told).toMatchObject({ limit, message: expect.stringContaining(`${limit} is `) });
      const { waits } = LIMIT_ROWS.find(({ path }) => path === limit)!;
      if (waits) expect(told.retryAfterMs).toBeGreaterThan(0);
      else expect(told.retryAfterMs).toBeUndefined();
      if (waits && told.status !== undefined) {
        expect(Number(told.retryAfter)).toBe(Math.ceil((told.retryAfterMs as number) / 1000));
      }
      if (way !== 'WebSocket') expect(told.status).toBeGreaterThanOrEqual(413);
      expect(await counted(limit)).toBeGreaterThan(before);
    },
  );

  it('websocket.maxPayloadBytes a WebSocket is closed with 1009, and it is counted', async () => {
    const before = await counted('websocket.maxPayloadBytes');
    const connected = await client();
    connected.send(Buffer.alloc(3000, 0xc0));
    expect((await connected.closed).code).toBe(1009);
    expect(await counted('websocket.maxPayloadBytes')).toBe(before + 1);
  });

  it('limits.connectionsPerUser a token in band gets the error, and an anonymous connection stays', async () => {
    const good = await token({ sub: 'in-band' });
    for (let n = 0; n < 2; n++) await client({}, good);
    const anonymous = await client();
    expect(await anonymous.request('auth', good)).toMatchObject([
      'error',
      expect.any(Number),
      'limit_exceeded',
      'too many connections of this user: limits.connectionsPerUser is 2',
      { retryAfterMs: 5000, limit: 'limits.connectionsPerUser' },
    ]);
    expect((await anonymous.request('ping'))[0]).toBe('ok');
  });
});

describe('an address', () => {
  it('is the one that the trusted proxy saw, whatever the client wrote before it', async () => {
    const address = anAddress();
    const lying = () => upgrade(limited, from(`203.0.113.${++lastAddress}, ${address}`));
    expect(await firstRefused(3, lying)).toMatchObject({ limit: 'limits.connectionsPerAddress' });
  });

  it('counts by /64 where it is of IPv6', async () => {
    let last = 0;
    const neighbours = () => upgrade(limited, from(`2001:db8:1:2::${++last}`));
    expect(await firstRefused(3, neighbours)).toMatchObject({ limit: 'limits.connectionsPerAddress' });
    expect(await upgrade(limited, from('2001:db8:1:3::1'))).toBeNull();
  });

  it('has no limits where it is that of a trusted proxy, or private', async () => {
    for (let n = 0; n < 8; n++) expect(await upgrade(limited, {})).toBeNull();
    for (let n = 0; n < 8; n++) expect(await upgrade(limited, from('10.1.2.3'))).toBeNull();
    const { msg } = await limited.logged(({ msg }) => String(msg).includes('does not apply to private'));
    expect(msg).toContain('10.1.2.3');
  });

  it('has its place back when a connection ends', async () => {
    const address = anAddress();
    const [one] = [await client(from(address)), await client(from(address))];
    expect(await upgrade(limited, from(address))).toMatchObject({ limit: 'limits.connectionsPerAddress' });
    one!.socket.close();
    await one!.closed;
    await expect.poll(() => upgrade(limited, from(address))).toBeNull();
  });
});
