import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestClient, UpgradeRefused } from '../support/client.ts';
import { readMetric } from '../support/metrics.ts';
import { NodeProcess } from '../support/node-process.ts';
import { SECRET, token } from '../support/tokens.ts';
import { waitFor, within } from '../support/wait.ts';

let node: NodeProcess;

beforeAll(async () => {
  node = await NodeProcess.start();
});

afterAll(() => node.stop());

const GOOD: Readonly<Record<string, string | readonly string[]>> = {
  Host: 'example.com',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

interface Answer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** What a node answers to a handshake, byte for byte: `changes` replaces headers, and leaves out those that are empty. */
async function handshake(changes: Readonly<Record<string, string | readonly string[]>>): Promise<Answer> {
  const lines = Object.entries({ ...GOOD, ...changes }).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).filter((one) => one !== '').map((one) => `${name}: ${one}`),
  );
  const { hostname, port } = new URL(node.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /ws HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  const answered = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (isWhole(text)) resolve();
    });
  });
  await within(5000, 'an answer', answered);
  socket.destroy();
  return parse(text);
}

function isWhole(text: string): boolean {
  const [head = '', body] = text.split('\r\n\r\n');
  if (body === undefined) return false;
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  return head.startsWith('HTTP/1.1 101') || body.length >= length;
}

function parse(text: string): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [status = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line) => line.split(': ', 2) as [string, string]);
  return {
    status: Number(status.split(' ')[1]),
    headers: new Map(headers.map(([name, value]) => [name.toLowerCase(), value])),
    body,
  };
}

async function metric(of: NodeProcess, series: string): Promise<number> {
  const answer = await fetch(`${of.url}/metrics`);
  return readMetric(await answer.text(), series) ?? 0;
}

describe('a WebSocket handshake', () => {
  it.each([
    ['as RFC 6455 shows it', {}],
    ['with headers in other letters', { Upgrade: 'WebSocket', Connection: 'upgrade' }],
    ['with what Firefox sends', { Connection: 'keep-alive, Upgrade' }],
    ['with Connection on two lines', { Connection: ['keep-alive', 'Upgrade'] }],
  ])('%s is accepted', async (_, changes) => {
    expect((await handshake(changes)).status).toBe(101);
  });

  it.each([
    ['another Upgrade', { Upgrade: 'foo' }, 426, /Upgrade header must be websocket, got .*foo/],
    ['no Upgrade', { Upgrade: '' }, 426, /Upgrade header must be websocket, got none/],
    ['no Connection', { Connection: '' }, 400, /Connection header must contain Upgrade, got none/],
    ['another Connection', { Connection: 'keep-alive' }, 400, /Connection header .*keep-alive/],
    ['an old version', { 'Sec-WebSocket-Version': '8' }, 426, /Version must be 13, got .*8/],
    ['no version', { 'Sec-WebSocket-Version': '' }, 426, /Version must be 13, got none/],
    ['no key', { 'Sec-WebSocket-Key': '' }, 400, /Key must be 16 bytes in base64, got none/],
    ['a short key', { 'Sec-WebSocket-Key': 'AAAA' }, 400, /Key must be 16 bytes in base64, got .*AAAA/],
    ['a key that is not base64', { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA!!==' }, 400, /Key must be/],
    ['a key of 18 bytes', { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAAA' }, 400, /Key must be/],
  ])('with %s is refused with a sentence, and counted', async (_, changes, status, sentence) => {
    const series = 'roomcast_upgrades_rejected_total{reason="handshake"}';
    const before = await metric(node, series);
    const answer = await handshake(changes);
    expect(answer.status).toBe(status);
    const { error } = JSON.parse(answer.body) as { error: { code: string; message: string } };
    expect(error).toEqual({ code: 'bad_request', message: expect.stringMatching(sentence) });
    if (status === 426) {
      expect(answer.headers.get('sec-websocket-version')).toBe('13');
      expect(answer.headers.get('upgrade')).toBe('websocket');
    }
    expect(await metric(node, series)).toBe(before + 1);
  });

  it('is asked for where someone only visits the address', async () => {
    const answer = await fetch(`${node.url}/ws`);
    expect(answer.status).toBe(426);
    expect(await answer.text()).toContain('WebSocket endpoint');
  });

  it.each([
    ['on one line', 'chat, roomcast.v1.json'],
    ['on two lines', ['chat', 'roomcast.v1.json']],
    ['on two lines, of which both are known', ['roomcast.v1.json', 'roomcast.v1.msgpack']],
  ])('may offer subprotocols %s', async (_, offered) => {
    const answer = await handshake({ 'Sec-WebSocket-Protocol': offered });
    expect(answer.status).toBe(101);
    expect(answer.headers.get('sec-websocket-protocol')).toBe('roomcast.v1.json');
  });

  it('that offers only unknown subprotocols, on two lines, is refused', async () => {
    expect((await handshake({ 'Sec-WebSocket-Protocol': ['chat', 'superchat'] })).status).toBe(400);
  });
});

describe('a message that is too large', () => {
  const MAX = 65_536;

  it.each([
    [MAX + 1, 1009],
    [MAX + 4096, 1009],
    [MAX + 4097, 1006],
    [2_000_000, 1006],
  ])('of %i bytes ends the connection with %i', async (bytes, code) => {
    const client = await TestClient.connect(node.wsUrl);
    client.send(Buffer.alloc(bytes, 0xc0));
    expect((await client.closed).code).toBe(code);
  });

  it('ends the connection with 1006 where it is text that is not UTF-8', async () => {
    const client = await TestClient.connect(node.wsUrl, { encoding: 'json' });
    client.socket.send(Buffer.from([0x5b, 0xff, 0x5d]), { binary: false });
    expect((await client.closed).code).toBe(1006);
  });
});

describe('a node with few files left', () => {
  it('takes the connections that its limit leaves, says so once, and answers health checks', async () => {
    const small = await NodeProcess.start({ openFiles: 200 });
    const limit = await metric(small, 'roomcast_connections_limit');
    expect(limit).toBeGreaterThan(100);
    expect(limit).toBeLessThan(200);
    const clients: TestClient[] = [];
    for (let n = 1; n <= limit; n++) clients.push(await TestClient.connect(small.wsUrl));
    for (let n = 1; n <= 50; n++) {
      await expect(TestClient.connect(small.wsUrl)).rejects.toThrow(UpgradeRefused);
    }
    const { hostname, port } = new URL(small.url);
    const silent = Array.from({ length: 200 }, () => connect(Number(port), hostname));
    for (const socket of silent) socket.on('error', () => undefined);
    await waitFor(() => silent.filter((socket) => socket.destroyed).length >= 180, {
      timeoutMs: 10_000,
      for: 'the sockets over the limit to be closed',
    });
    for (const socket of silent) socket.destroy();
    expect((await fetch(`${small.url}/healthz`)).status).toBe(200);
    expect(await metric(small, 'roomcast_connections{encoding="msgpack"}')).toBe(limit);
    expect(await metric(small, 'roomcast_upgrades_rejected_total{reason="limit"}')).toBe(50);
    await Promise.all(clients.slice(0, 20).map((client) => client.close()));
    clients.push(await TestClient.connect(small.wsUrl));
    const about = small.log.filter(({ what }) => what === 'connections').map(({ event }) => event);
    expect(about).toEqual(['full', 'not full']);
    await small.kill();
  });

  it('closes what is too many on the port of the metrics too', async () => {
    const small = await NodeProcess.start({ openFiles: 200, env: { ROOMCAST_METRICS_PORT: '0' } });
    const { metrics } = await small.logged(({ event }) => event === 'listening');
    const { hostname, port } = new URL(String(metrics));
    const silent = Array.from({ length: 300 }, () => connect(Number(port), hostname));
    for (const socket of silent) socket.on('error', () => undefined);
    await waitFor(() => silent.filter((socket) => socket.destroyed).length >= 150, {
      timeoutMs: 10_000,
      for: 'the sockets over the limit to be closed',
    });
    expect(small.log.filter(({ what }) => what === 'sockets').map(({ event }) => event)).toEqual(['full']);
    for (const socket of silent) socket.destroy();
    expect((await fetch(`${small.url}/healthz`)).status).toBe(200);
    await small.kill();
  });

  it('says at its start where more connections are configured than it can have', async () => {
    const env = { ROOMCAST_WEBSOCKET_MAX_CONNECTIONS: '5000' };
    const small = await NodeProcess.start({ openFiles: 200, env });
    expect(small.log.map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining('websocket.maxConnections is 5000, but the limit on open files allows 120'),
    );
    await small.kill();
  });
});

describe('connections without a token', () => {
  it('have a limit of their own, which those with a token pass', async () => {
    const env = { ROOMCAST_AUTH_SECRET: SECRET, ROOMCAST_WEBSOCKET_MAX_UNAUTHENTICATED: '3' };
    const guarded = await NodeProcess.start({ env });
    const text = await token({ sub: 'ann' });
    const waiting = [1, 2, 3].map(() => TestClient.connect(guarded.wsUrl));
    const [first] = await Promise.all(waiting);
    await expect(TestClient.connect(guarded.wsUrl)).rejects.toMatchObject({ status: 503 });
    const known = await TestClient.connect(guarded.wsUrl, { token: text });
    expect(await known.hello()).toMatchObject({ user: 'ann' });
    expect(await metric(guarded, 'roomcast_upgrades_rejected_total{reason="waiting"}')).toBe(1);
    expect(await metric(guarded, 'roomcast_connections_unauthenticated')).toBe(3);
    await first!.ok('auth', text);
    const next = await TestClient.connect(guarded.wsUrl);
    next.send(Buffer.alloc(40_000, 0xc0));
    expect((await next.closed).code).toBe(1009);
    await guarded.kill();
  });
});
